//! One configured filter in one worker.

use std::cell::RefCell;
use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use super::http::Exchange;
use crate::config::{Config, ConfigError};
use crate::host::Host;
use crate::panel::Panel;

/// How often the worker syncs: a trip is obeyed by all within this and a little more.
const TICK_MILLIS: u32 = 10;
/// The host's log level is asked for every so many ticks.
const LEVEL_TICKS: u32 = 100;

pub(super) type SharedPanel = Rc<RefCell<Panel<Host>>>;

/// The root context: configures, and keeps the panel in step.
#[derive(Debug, Default)]
pub struct Root {
    host: Host,
    panel: Option<SharedPanel>,
    ticks: u32,
}

impl Root {
    fn configure(&mut self, size: usize) -> Result<(), Refusal> {
        self.host.check_clock().map_err(|_| Refusal::NoClock)?;
        let config = Config::parse(&self.host.configuration(size)).map_err(Refusal::Config)?;
        self.host.tick_every(TICK_MILLIS).map_err(|_| Refusal::NoTick)?;
        log::info!(
            "circuit breaker initialized version={} namespace={} circuits={} mode={}",
            env!("CARGO_PKG_VERSION"),
            config.namespace,
            config.named().count(),
            config.mode().as_str(),
        );
        self.panel = Some(Rc::new(RefCell::new(Panel::new(self.host, config))));
        Ok(())
    }
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        self.host.adopt_log_level();
        match self.configure(size) {
            Ok(()) => true,
            Err(refusal) => {
                log::error!("circuit breaker not configured: {refusal}");
                false
            }
        }
    }

    fn on_tick(&mut self) {
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(LEVEL_TICKS) {
            self.host.adopt_log_level();
        }
        if let Some(panel) = &self.panel {
            panel.borrow_mut().sync();
            log_events(panel);
        }
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Exchange::new(self.host, self.panel.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// Logs the transitions that have taken place: opening is a warning.
pub(super) fn log_events(panel: &SharedPanel) {
    for event in panel.borrow_mut().take_events() {
        match event.transition.to {
            crate::breaker::State::Open => log::warn!("{event}"),
            _ => log::info!("{event}"),
        }
    }
}

/// Why the filter does not start.
#[derive(Debug)]
enum Refusal {
    Config(ConfigError),
    NoClock,
    NoTick,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::NoClock => f.write_str(
                "the host refuses clock_time_get, expected it among the allowed capabilities",
            ),
            Self::NoTick => f.write_str(
                "the host refuses proxy_set_tick_period_milliseconds, \
                 expected it among the allowed capabilities",
            ),
        }
    }
}

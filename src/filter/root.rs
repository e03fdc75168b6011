//! One configured filter in one worker.

use std::cell::RefCell;
use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use super::http::Exchange;
use super::waiting_room::{Reachable, SharedRoom, end_waits};
use super::webhook::{call_ended, post_events};
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
    /// Where requests may have to wait for their bodies.
    room: Option<SharedRoom>,
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
        self.room = config.reads_bodies().then(SharedRoom::default);
        if self.room.is_some() {
            log::info!(
                "circuit breaker tells requests apart by their bodies, for which the plugin needs \
                 allow_on_headers_stop_iteration: true"
            );
        }
        self.panel = Some(Rc::new(RefCell::new(Panel::new(self.host, config))));
        Ok(())
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, headers: usize, _: usize, _: usize) {
        if let Some(panel) = &self.panel {
            call_ended(panel, self.host, token, headers);
        }
    }

    fn on_done(&mut self) -> bool {
        if let Some(panel) = &self.panel {
            // There is no other tick to tell what was counted since the last one.
            panel.borrow_mut().sync();
            panel.borrow_mut().abandon_webhook();
            log_events(panel);
        }
        true
    }
}

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
            // Before the waits end, which turns to streams: a call made then would be theirs.
            post_events(panel, self.host);
            if let Some(room) = &self.room {
                end_waits(room, panel, self.host);
            }
            log_events(panel);
        }
    }

    fn create_http_context(&self, stream: u32) -> Option<Box<dyn HttpContext>> {
        let exchange = Exchange::new(self.host, self.panel.clone());
        Some(match &self.room {
            Some(room) => Box::new(Reachable::new(stream, exchange, Rc::clone(room))),
            None => Box::new(exchange),
        })
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// Logs the transitions that have taken place: opening is a warning.
pub(super) fn log_events(panel: &SharedPanel) {
    if panel.borrow().has_no_events() {
        return;
    }
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

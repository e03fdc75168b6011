//! Starting Envoy: what can be chosen before the filter is loaded.

use std::rc::Rc;

use wasmtime::Module;

use super::config::Config;
use super::host::Host;
use super::imports;
use super::logs::{Level, Line, listing};
use super::module::fusebox;
use super::plugins::Plugins;
use super::vm::VmId;
use super::world::World;

pub struct Setup {
    world: Rc<World>,
    module: Option<Module>,
    workers: usize,
    main_thread: bool,
    allow_on_headers_stop_iteration: bool,
}

impl Default for Setup {
    fn default() -> Self {
        let world = Rc::new(World::default());
        Self {
            world,
            module: None,
            workers: 1,
            main_thread: false,
            allow_on_headers_stop_iteration: false,
        }
    }
}

impl Setup {
    /// Another module than the filter.
    pub fn guest(mut self, module: Module) -> Self {
        self.module = Some(module);
        self
    }

    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// The main thread's VM stays, and ticks. It never gets a request.
    pub fn with_main_thread(mut self) -> Self {
        self.main_thread = true;
        self
    }

    pub fn log_level(self, level: Level) -> Self {
        self.world.log_level.set(level);
        self
    }

    /// A filter that pauses at headers still gets the body.
    pub fn allow_on_headers_stop_iteration(mut self) -> Self {
        self.allow_on_headers_stop_iteration = true;
        self
    }

    /// Nanoseconds of the monotonic clock at the start.
    pub fn monotonic(self, nanos: u64) -> Self {
        self.world.clock.set_monotonic(nanos);
        self
    }

    /// Nanoseconds of the wall clock at the start.
    pub fn wall(self, nanos: u64) -> Self {
        self.world.clock.set_wall(nanos);
        self
    }

    /// Bytes that were in shared data before the filter came.
    pub fn shared(self, key: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.world.shared_data.borrow_mut().set(key, bytes.as_ref(), 0).expect("cas 0 always wins");
        self
    }

    /// In the same process, on the same vm_id, but with VMs of its own: another build of the filter.
    pub fn beside(mut self, other: &Host) -> Self {
        self.world = other.world().clone();
        self
    }

    /// Envoy's order: the configuration is tried in a VM that is thrown away, then main thread and workers get theirs.
    pub fn boot(self, config: Config) -> Result<Host, Refused> {
        let module = self.module.unwrap_or_else(fusebox);
        let module = imports::link(&module)
            .unwrap_or_else(|missing| panic!("no host can load this module: {missing}"));
        let plugins = Plugins::new(self.allow_on_headers_stop_iteration);
        let host = Host::new(self.world, module, plugins);
        host.accept(config.bytes())?;
        if self.main_thread {
            host.add_vm(VmId::Main)?;
        }
        Ok(host.workers(self.workers))
    }
}

/// Why a configuration was not taken, with what was logged meanwhile.
#[derive(Clone)]
pub struct Refused {
    pub why: String,
    pub logs: Vec<Line>,
}

impl Refused {
    /// The texts of the error lines.
    pub fn errors(&self) -> Vec<String> {
        let errors = self.logs.iter().filter(|line| line.level >= Level::Error);
        errors.map(|line| line.text.clone()).collect()
    }

    /// The one error line; several, or none, is a failure.
    pub fn error(&self) -> String {
        let errors = self.errors();
        assert!(errors.len() == 1, "expected one error line: {self:?}");
        errors.into_iter().next().unwrap_or_default()
    }
}

impl std::fmt::Debug for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n{}", self.why, listing(&self.logs))
    }
}

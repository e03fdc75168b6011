//! Envoy, as a test holds it: start it, send requests, move time, and ask afterwards.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::time::Duration;

use wasmtime::InstancePre;

use super::clock::nanos;
use super::config::Config;
use super::ending::Ending;
use super::exchange::Exchange;
use super::plugins::{PluginId, Plugins};
use super::request::{Request, get};
use super::setup::{Refused, Setup};
use super::ticking;
use super::vm::{VmId, VmState};
use super::worker::Worker;
use super::world::World;

#[derive(Clone)]
pub struct Host(Rc<Inner>);

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

struct Inner {
    world: Rc<World>,
    module: InstancePre<VmState>,
    plugins: Rc<Plugins>,
    main: RefCell<Option<Worker>>,
    workers: RefCell<Vec<Worker>>,
}

/// For what the host itself holds on to: a strong handle there would never be dropped.
pub struct WeakHost(Weak<Inner>);

impl WeakHost {
    pub fn upgrade(&self) -> Option<Host> {
        self.0.upgrade().map(Host)
    }
}

/// Starting and reconfiguring.
impl Host {
    /// One worker that runs this configuration.
    pub fn with(config: Config) -> Self {
        Self::try_with(config)
            .unwrap_or_else(|refused| panic!("the configuration was refused: {refused:?}"))
    }

    pub fn try_with(config: Config) -> Result<Self, Refused> {
        Setup::default().boot(config)
    }

    pub fn setup() -> Setup {
        Setup::default()
    }

    pub(super) fn new(world: Rc<World>, module: InstancePre<VmState>, plugins: Plugins) -> Self {
        let plugins = Rc::new(plugins);
        Self(Rc::new(Inner {
            world,
            module,
            plugins,
            main: RefCell::default(),
            workers: RefCell::default(),
        }))
    }

    /// Starts workers until there are this many.
    pub fn workers(self, count: usize) -> Self {
        while self.0.workers.borrow().len() < count {
            let next = self.0.workers.borrow().len();
            self.add_vm(VmId::Worker(next))
                .unwrap_or_else(|refused| panic!("worker {next}: {refused:?}"));
        }
        self
    }

    pub(super) fn add_vm(&self, id: VmId) -> Result<(), Refused> {
        let logged = self.logs().len();
        let worker = Worker::new(id, &self.0.world, &self.0.plugins, &self.0.module);
        worker.core.start().map_err(|why| self.refused(&why, logged))?;
        match id {
            VmId::Main => *self.0.main.borrow_mut() = Some(worker),
            _ => self.0.workers.borrow_mut().push(worker),
        }
        Ok(())
    }

    /// Another configuration for the same filter, as a listener update brings it. Each VM gets a second root context, and new
    /// requests go there. If it is refused, everything stays as it was.
    pub fn reconfigure(&self, config: Config) -> Result<(), Refused> {
        let bytes = config.bytes();
        if self.0.plugins.current_configuration().as_ref() == Some(&bytes) {
            return Ok(()); // the same root context goes on serving
        }
        let new = self.accept(bytes)?;
        self.0.plugins.replace_current(new);
        Ok(())
    }

    /// A second plugin on another listener, with the same vm_id and so in the same VMs.
    pub fn also(&self, config: Config) -> Result<PluginId, Refused> {
        self.accept(config.bytes())
    }

    /// Tries the configuration where a failure harms nobody, then gives it to every VM.
    pub(super) fn accept(&self, configuration: Vec<u8>) -> Result<PluginId, Refused> {
        let logged = self.logs().len();
        let plugin = self.0.plugins.candidate(configuration);
        let alone = Rc::new(Plugins::new(false));
        alone.accept(plugin.clone());
        let canary = Worker::new(VmId::Canary, &self.0.world, &alone, &self.0.module);
        let tried = canary.core.start();
        canary.core.trap_is_seen();
        canary.kill();
        tried.map_err(|why| self.refused(&why, logged))?;
        for worker in self.all_vms() {
            worker.core.add_root(&plugin).map_err(|why| self.refused(&why, logged))?;
        }
        self.0.plugins.accept(plugin.clone());
        Ok(plugin.id)
    }

    /// The configurations that were replaced have drained.
    pub fn drop_old(&self) {
        for plugin in self.0.plugins.draining() {
            self.all_vms().iter().for_each(|worker| worker.core.drop_root(plugin));
        }
    }

    fn refused(&self, why: &str, logged: usize) -> Refused {
        let logs = self.all_logs().split_off(logged);
        Refused { why: why.to_owned(), logs }
    }
}

/// Requests.
impl Host {
    /// The first worker's.
    pub fn request(&self) -> Exchange {
        self.send(get("/"))
    }

    pub fn send(&self, request: Request) -> Exchange {
        self.worker(0).send(request)
    }

    /// So many requests, one after another, all answered with this status.
    pub fn traffic(&self, requests: usize, status: u16) {
        for _ in 0..requests {
            self.request().answered(status);
        }
    }

    /// A request that an earlier filter or the codec answered: the filter hears of it in the log callback alone.
    pub fn unseen(&self, request: Request, ending: Ending) -> Exchange {
        let worker = self.worker(0);
        let root = worker.core.root_of(self.0.plugins.current());
        Exchange::unseen(&worker, root, &request).ends_as(ending)
    }

    pub fn worker(&self, index: usize) -> Worker {
        let workers = self.0.workers.borrow();
        workers
            .get(index)
            .unwrap_or_else(|| panic!("there are {} workers, no number {index}", workers.len()))
            .clone()
    }

    /// The first worker, on the listener of another plugin.
    pub fn through(&self, plugin: PluginId) -> Worker {
        self.worker(0).through(plugin)
    }

    pub fn main_thread(&self) -> Worker {
        self.0.main.borrow().clone().expect("the host was set up with its main thread")
    }
}

/// Time.
impl Host {
    /// Both clocks run, and every root context ticks when it is due.
    pub fn advance(&self, by: Duration) {
        let target = self.0.world.clock.monotonic() + nanos(by);
        ticking::run_until(&self.0.world, target);
    }

    /// Both clocks run while every event loop is busy elsewhere: overdue ticks come with the next [`advance`](Self::advance).
    pub fn advance_without_ticks(&self, by: Duration) {
        self.0.world.clock.advance(by);
    }

    /// Every tick now, whatever is due.
    pub fn tick(&self) {
        self.all_vms().iter().for_each(Worker::tick);
    }

    /// Somebody sets the clock. The monotonic one does not care.
    pub fn wall_clock_jumps_ahead(&self, by: Duration) {
        let clock = &self.0.world.clock;
        clock.set_wall(clock.wall() + nanos(by));
    }

    pub fn wall_clock_jumps_back(&self, by: Duration) {
        let clock = &self.0.world.clock;
        clock.set_wall(clock.wall() - nanos(by));
    }

    /// Since 1970.
    pub fn wall_clock(&self) -> Duration {
        Duration::from_nanos(self.0.world.clock.wall())
    }

    pub fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.0.world.clock.monotonic())
    }
}

impl Host {
    pub(super) fn world(&self) -> &Rc<World> {
        &self.0.world
    }

    pub(super) fn downgrade(&self) -> WeakHost {
        WeakHost(Rc::downgrade(&self.0))
    }

    pub(super) fn all_vms(&self) -> Vec<Worker> {
        let main = self.0.main.borrow().clone();
        main.into_iter().chain(self.0.workers.borrow().iter().cloned()).collect()
    }
}

/// A trap that no test asked about is a failure of that test, wherever it happened.
impl Drop for Inner {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for worker in self.main.borrow().iter().chain(self.workers.borrow().iter()) {
            if let Some(trap) = worker.core.unseen_trap() {
                panic!("{worker:?} trapped, and the test did not ask about it: {trap}");
            }
        }
    }
}

//! A worker thread of Envoy: one VM at a time, one root context per configuration.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::{Rc, Weak};

use wasmtime::{InstancePre, WasmParams, WasmResults};

use super::calls::CallState;
use super::exchange::Exchange;
use super::plugins::{Plugin, PluginId, Plugins};
use super::request::{Request, get};
use super::stream::SharedStream;
use super::vm::{Context, Deferred, Root, Vm, VmId, VmState};
use super::world::World;

enum Life {
    Running(Box<Vm>),
    Over(String),
}

pub struct WorkerCore {
    me: Weak<WorkerCore>,
    pub id: VmId,
    pub world: Rc<World>,
    pub plugins: Rc<Plugins>,
    module: InstancePre<VmState>,
    life: RefCell<Life>,
    lives: Cell<u32>,
    roots: RefCell<BTreeMap<PluginId, u32>>,
    trap: RefCell<Option<String>>,
    trap_was_seen: Cell<bool>,
}

/// The VM is gone: nothing can be called there.
#[derive(Debug)]
pub struct Gone;

/// A handle. It can be cloned, and told which plugin's filter chain requests take.
#[derive(Clone)]
pub struct Worker {
    pub core: Rc<WorkerCore>,
    plugin: Option<PluginId>,
}

impl Worker {
    pub fn new(
        id: VmId,
        world: &Rc<World>,
        plugins: &Rc<Plugins>,
        module: &InstancePre<VmState>,
    ) -> Self {
        let core = Rc::new_cyclic(|me| WorkerCore {
            me: me.clone(),
            id,
            world: world.clone(),
            plugins: plugins.clone(),
            module: module.clone(),
            life: RefCell::new(Life::Over("it was never started".to_owned())),
            lives: Cell::new(0),
            roots: RefCell::default(),
            trap: RefCell::default(),
            trap_was_seen: Cell::new(true),
        });
        world.vms.borrow_mut().push(Rc::downgrade(&core));
        Self { core, plugin: None }
    }

    /// Requests of the handle go through this plugin, as if they came in on its listener.
    pub fn through(&self, plugin: PluginId) -> Self {
        Self { plugin: Some(plugin), ..self.clone() }
    }

    pub fn request(&self) -> Exchange {
        self.send(get("/"))
    }

    pub fn send(&self, request: Request) -> Exchange {
        let plugin = self.plugin.unwrap_or_else(|| self.core.plugins.current());
        Exchange::begin(self, self.core.root_of(plugin), request)
    }

    /// Runs the tick of every root context now, whatever is due.
    pub fn tick(&self) {
        let roots: Vec<u32> = self.core.roots.borrow().values().copied().collect();
        for root in roots {
            let _ = self.core.enter::<_, ()>(root, "proxy_on_tick", root);
        }
    }

    /// The VM dies as it would in a trap: no stream in it hears anything again.
    pub fn kill(&self) {
        self.core.end_life("it was killed by the test");
    }

    /// A new VM in place of the old one, configured anew, as Envoy does after a trap or on a new build.
    pub fn reload(&self) {
        self.core.end_life("it was reloaded");
        let started = self.core.start();
        started.unwrap_or_else(|why| panic!("{:?} does not start again: {why}", self.core.id));
    }

    pub fn is_dead(&self) -> bool {
        matches!(&*self.core.life.borrow(), Life::Over(_))
    }

    /// What the guest trapped on. A trap nobody asks about fails the test in the end.
    pub fn trap(&self) -> Option<String> {
        self.core.trap_was_seen.set(true);
        self.core.trap.borrow().clone()
    }

    pub fn streams_in_flight(&self) -> usize {
        let count = |state: &mut VmState| {
            state.contexts.values().filter(|context| matches!(context, Context::Stream(_))).count()
        };
        self.core.with_state(count).unwrap_or(0)
    }

    pub fn memory_size(&self) -> usize {
        self.core.with_vm(Vm::memory_size).unwrap_or(0)
    }

    /// Fuel burnt in this VM so far: a measure of work that no other load on the machine disturbs.
    pub fn fuel_used(&self) -> u64 {
        self.core.with_vm(|vm| vm.fuel_used()).unwrap_or(0)
    }

    /// How often the guest has allocated memory so far, and how much of it: asked of the module that counts.
    pub fn allocations(&self) -> (u64, u64) {
        let ask = |export| {
            let count = self.core.enter(0, export, ()).expect("the VM runs");
            count.expect("the module counts its allocations")
        };
        (ask("allocations"), ask("allocated_bytes"))
    }
}

impl WorkerCore {
    /// Loads the VM and configures every plugin that is not draining. The error says which step refused.
    pub fn start(&self) -> Result<(), String> {
        self.roots.borrow_mut().clear();
        let vm = Vm::load(&self.world, self.id, self.lives.get(), &self.module)?;
        *self.life.borrow_mut() = Life::Running(Box::new(vm));
        self.plugins.live().iter().try_for_each(|plugin| self.add_root(plugin))
    }

    pub fn add_root(&self, plugin: &Plugin) -> Result<(), String> {
        let trapped = |Gone| self.trap.borrow().clone().unwrap_or_default();
        let root = self.with_state(|state| state.new_context(|_| Context::Root(Root::default())));
        let root = root.map_err(trapped)?;
        let size = plugin.configuration.len() as u32;
        self.enter::<_, ()>(root, "proxy_on_context_create", (root, 0u32)).map_err(trapped)?;
        if self.enter(root, "proxy_on_vm_start", (root, 0u32)).map_err(trapped)? == Some(0u32) {
            return Err("on_vm_start returned false".to_owned());
        }
        let configuration = plugin.configuration.clone();
        self.with_state(|state| state.configuration = Some(configuration)).map_err(trapped)?;
        let configured = self.enter(root, "proxy_on_configure", (root, size)).map_err(trapped)?;
        self.with_state(|state| state.configuration = None).map_err(trapped)?;
        if configured == Some(0u32) {
            return Err("on_configure returned false".to_owned());
        }
        self.roots.borrow_mut().insert(plugin.id, root);
        Ok(())
    }

    /// The last of a plugin's configuration here: done, then deleted, at once or when the guest says so.
    pub fn drop_root(&self, plugin: PluginId) {
        let Some(root) = self.roots.borrow_mut().remove(&plugin) else { return };
        let Ok(done) = self.enter(root, "proxy_on_done", root) else { return };
        if done == Some(0u32) {
            let _ = self.with_state(|state| {
                if let Some(Context::Root(root)) = state.contexts.get_mut(&root) {
                    root.waits_for_done = true;
                }
            });
        } else {
            self.delete(root);
        }
    }

    pub fn delete(&self, context: u32) {
        let _ = self.enter::<_, ()>(context, "proxy_on_delete", context);
        let _ = self.with_state(|state| state.contexts.remove(&context));
    }

    pub fn root_of(&self, plugin: PluginId) -> u32 {
        self.roots.borrow().get(&plugin).copied().unwrap_or(0)
    }

    pub fn lives(&self) -> u32 {
        self.lives.get()
    }

    /// Calls into the guest, then does what the guest asked to be done afterwards.
    pub fn enter<P: WasmParams, R: WasmResults>(
        &self,
        context: u32,
        export: &str,
        arguments: P,
    ) -> Result<Option<R>, Gone> {
        match self.with_vm(|vm| vm.call(context, export, arguments))? {
            Ok(result) => {
                self.run_deferred();
                Ok(result)
            }
            Err(trap) => {
                *self.trap.borrow_mut() = Some(trap.clone());
                self.trap_was_seen.set(false);
                self.end_life(&trap);
                Err(Gone)
            }
        }
    }

    fn run_deferred(&self) {
        let deferred = self.with_state(|state| std::mem::take(&mut state.deferred));
        let me = Worker {
            core: self.me.upgrade().expect("a running VM is held by its worker"),
            plugin: None,
        };
        let exchange = |stream: SharedStream| Exchange::of(&me, stream);
        for action in deferred.unwrap_or_default() {
            match action {
                Deferred::Reply(stream, reply) => exchange(stream).reply_locally(reply),
                Deferred::ContinueRequest(stream) => exchange(stream).resume_request(),
                Deferred::ContinueResponse(stream) => exchange(stream).resume_response(),
                Deferred::Close(stream) => exchange(stream).closed_by_filter(),
                Deferred::Delete(context) => self.delete(context),
            }
        }
    }

    pub fn with_state<T>(&self, f: impl FnOnce(&mut VmState) -> T) -> Result<T, Gone> {
        self.with_vm(|vm| f(vm.state()))
    }

    fn with_vm<T>(&self, f: impl FnOnce(&mut Vm) -> T) -> Result<T, Gone> {
        let mut life = self.life.try_borrow_mut().unwrap_or_else(|_| {
            panic!("{:?} is in the middle of a callback: in a gap, act on another worker", self.id)
        });
        match &mut *life {
            Life::Running(vm) => Ok(f(vm)),
            Life::Over(_) => Err(Gone),
        }
    }

    /// A thread in the middle of a callback does not tick, and neither does a dead VM.
    pub fn earliest_tick(&self) -> Option<(u64, u32)> {
        let mut life = self.life.try_borrow_mut().ok()?;
        let Life::Running(vm) = &mut *life else { return None };
        let due = vm.state().contexts.iter().filter_map(|(id, context)| match context {
            Context::Root(root) => Some((root.tick_due?, *id)),
            Context::Stream(_) => None,
        });
        due.min()
    }

    /// The timer is set again once the tick is over: an overdue tick comes once, however late.
    pub fn tick_root(&self, id: u32, due: u64) {
        let _ = self.enter::<_, ()>(id, "proxy_on_tick", id);
        let now = self.world.clock.monotonic();
        let _ = self.with_state(|state| {
            if let Some(Context::Root(root)) = state.contexts.get_mut(&id)
                && root.tick_due == Some(due)
            {
                let next = due + root.tick_period;
                root.tick_due = Some(if next > now { next } else { now + root.tick_period });
            }
        });
    }

    fn end_life(&self, why: &str) {
        let over = Life::Over(why.to_owned());
        let Life::Running(mut vm) = self.life.replace(over) else { return };
        for context in vm.state().contexts.values() {
            if let Context::Stream(stream) = context {
                stream.borrow_mut().lost = Some(why.to_owned());
            }
        }
        self.cancel_calls(|_| true);
        self.lives.set(self.lives.get() + 1);
    }

    pub fn cancel_calls(&self, of_context: impl Fn(u32) -> bool) {
        for call in self.world.calls.borrow_mut().iter_mut() {
            let ours =
                call.vm == self.id && call.life == self.lives.get() && of_context(call.context);
            if ours && call.state == CallState::Waiting {
                call.state = CallState::Cancelled;
            }
        }
    }

    pub fn why_dead(&self) -> Option<String> {
        match &*self.life.borrow() {
            Life::Running(_) => None,
            Life::Over(why) => Some(why.clone()),
        }
    }

    pub fn unseen_trap(&self) -> Option<String> {
        self.trap.borrow().clone().filter(|_| !self.trap_was_seen.get())
    }

    pub fn trap_is_seen(&self) {
        self.trap_was_seen.set(true);
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.id.fmt(f)
    }
}

//! One instance of the module, and the host's side of it. All of it lives in the instance's store.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

use wasmtime::{Instance, InstancePre, Store, WasmParams, WasmResults};

use super::coverage;
use super::headers::Headers;
use super::metrics::MetricIds;
use super::module::ENGINE;
use super::reply::LocalReply;
use super::stream::SharedStream;
use super::world::World;

/// Far more than any callback needs; an endless loop reaches it within a second.
const FUEL_PER_CALL: u64 = 300_000_000;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum VmId {
    /// The VM in which Envoy tries a configuration out, on the main thread, and then throws away.
    Canary,
    Main,
    Worker(usize),
}

impl fmt::Debug for VmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Canary => f.write_str("canary"),
            Self::Main => f.write_str("main"),
            Self::Worker(index) => write!(f, "worker {index}"),
        }
    }
}

/// A root context: one configuration in this VM.
#[derive(Debug, Default)]
pub struct Root {
    pub tick_period: u64,
    pub tick_due: Option<u64>,
    pub waits_for_done: bool,
}

pub enum Context {
    Root(Root),
    Stream(SharedStream),
}

/// What a guest asked for that Envoy does once the guest has returned.
pub enum Deferred {
    Reply(SharedStream, LocalReply),
    ContinueRequest(SharedStream),
    ContinueResponse(SharedStream),
    Close(SharedStream),
    Delete(u32),
}

/// The answer to a call of the filter's own, readable while its callback runs.
#[derive(Debug, Default)]
pub struct CallAnswer {
    pub headers: Option<Headers>,
    pub body: Vec<u8>,
    pub trailers: Option<Headers>,
}

pub struct VmState {
    pub world: Rc<World>,
    pub id: VmId,
    /// How often the VM was loaded before: ids of an earlier life mean nothing in this one.
    pub life: u32,
    pub contexts: BTreeMap<u32, Context>,
    pub metric_ids: MetricIds,
    pub current: u32,
    pub effective: u32,
    pub deferred: Vec<Deferred>,
    /// The plugin configuration, readable in `on_configure` alone.
    pub configuration: Option<Vec<u8>>,
    pub call_answer: Option<CallAnswer>,
    /// Keys read and not yet written again: a set of one of them closes a gap.
    pub read_keys: BTreeSet<String>,
    pub last_context: u32,
    pub last_call_token: u32,
}

impl VmState {
    /// Who asks: the context that was called, or the one the guest says it speaks for.
    pub fn context_id(&self) -> u32 {
        if self.effective == 0 { self.current } else { self.effective }
    }

    pub fn context(&mut self) -> Option<&mut Context> {
        let id = self.context_id();
        self.contexts.get_mut(&id)
    }

    /// A stream may speak for its root.
    pub fn root_id(&self) -> u32 {
        let id = self.context_id();
        match self.contexts.get(&id) {
            Some(Context::Stream(stream)) => stream.borrow().root,
            _ => id,
        }
    }

    pub fn root(&mut self) -> Option<&mut Root> {
        let id = self.root_id();
        match self.contexts.get_mut(&id) {
            Some(Context::Root(root)) => Some(root),
            _ => None,
        }
    }

    pub fn stream(&mut self) -> Option<SharedStream> {
        match self.context() {
            Some(Context::Stream(stream)) => Some(stream.clone()),
            _ => None,
        }
    }

    pub fn new_context(&mut self, context: impl FnOnce(u32) -> Context) -> u32 {
        self.last_context += 1;
        let id = self.last_context;
        self.contexts.insert(id, context(id));
        id
    }
}

pub struct Vm {
    store: Store<VmState>,
    instance: Instance,
    fuel_used: u64,
}

impl Vm {
    /// Instantiates and initialises. The error is a trap in the start functions.
    pub fn load(
        world: &Rc<World>,
        id: VmId,
        life: u32,
        module: &InstancePre<VmState>,
    ) -> Result<Self, String> {
        let state = VmState {
            world: world.clone(),
            id,
            life,
            contexts: BTreeMap::new(),
            metric_ids: MetricIds::default(),
            current: 0,
            effective: 0,
            deferred: Vec::new(),
            configuration: None,
            call_answer: None,
            read_keys: BTreeSet::new(),
            last_context: 0,
            last_call_token: 0,
        };
        let mut store = Store::new(&ENGINE, state);
        store.set_fuel(FUEL_PER_CALL).expect("fuel is on");
        let instance = module.instantiate(&mut store).map_err(|error| format!("{error:?}"))?;
        let mut vm = Self { store, instance, fuel_used: 0 };
        for start in ["_initialize", "_start"] {
            vm.call::<_, ()>(0, start, ())?;
        }
        Ok(vm)
    }

    /// Calls an export on behalf of a context. An export that is not there is a callback nobody listens to.
    pub fn call<P: WasmParams, R: WasmResults>(
        &mut self,
        context: u32,
        export: &str,
        arguments: P,
    ) -> Result<Option<R>, String> {
        let Some(function) = self.instance.get_func(&mut self.store, export) else {
            return Ok(None);
        };
        let function = function.typed::<P, R>(&self.store);
        let function =
            function.unwrap_or_else(|error| panic!("{export} has another signature: {error}"));
        self.store.set_fuel(FUEL_PER_CALL).expect("fuel is on");
        self.state().current = context;
        self.state().effective = 0;
        let result = function.call(&mut self.store, arguments);
        self.state().current = 0;
        self.fuel_used += FUEL_PER_CALL - self.store.get_fuel().expect("fuel is on");
        result.map(Some).map_err(|error| format!("{export}: {}", error.root_cause()))
    }

    pub fn state(&mut self) -> &mut VmState {
        self.store.data_mut()
    }

    pub fn fuel_used(&self) -> u64 {
        self.fuel_used
    }

    /// The pages of linear memory, in bytes: what a leak grows.
    pub fn memory_size(&mut self) -> usize {
        let memory = self.instance.get_memory(&mut self.store, "memory");
        memory.map_or(0, |memory| memory.data_size(&self.store))
    }
}

impl Drop for Vm {
    /// However it ends, by a trap too, what ran in it has run.
    fn drop(&mut self) {
        if coverage::is_wanted() {
            coverage::keep(&mut self.store, &self.instance);
        }
    }
}

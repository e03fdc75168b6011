//! Everything a module can import. What is not listed here fails at instantiation; what is listed and not emulated fails
//! when it is called. Neither is ever quietly ignored.

use wasmtime::{Caller, Engine, InstancePre, Linker, Module};

use super::abi::{Answer, Fault, Guest, Status};
use super::module::ENGINE;
use super::vm::VmState;

mod calls;
mod shared;
mod streams;
mod system;

/// Imported by the SDK whether used or not.
const NOT_EMULATED: [&str; 6] = [
    "proxy_grpc_call",
    "proxy_grpc_stream",
    "proxy_grpc_send",
    "proxy_grpc_cancel",
    "proxy_grpc_close",
    "proxy_get_status",
];

/// The error names the import that no host has.
pub fn link(module: &Module) -> Result<InstancePre<VmState>, String> {
    let engine: &Engine = &ENGINE;
    let mut linker = Linker::new(engine);
    system::link(&mut linker);
    streams::link(&mut linker);
    shared::link(&mut linker);
    calls::link(&mut linker);
    for import in module.imports().filter(|import| NOT_EMULATED.contains(&import.name())) {
        let Some(signature) = import.ty().func().cloned() else { continue };
        let name = import.name().to_owned();
        linker
            .func_new(import.module(), import.name(), signature, move |_, _, _| {
                Err(wasmtime::Error::msg(format!("{name} is not emulated")))
            })
            .expect("one definition per import");
    }
    linker.instantiate_pre(module).map_err(|error| format!("{error:#}"))
}

/// Counts the call, runs it, and turns a fault into what the guest sees.
fn serve(
    mut caller: Caller<'_, VmState>,
    name: &'static str,
    body: impl FnOnce(&mut Guest<'_>) -> Answer,
) -> wasmtime::Result<u32> {
    let state = caller.data_mut();
    state.world.ledger.borrow_mut().count(state.id, name);
    if let Some(status) = state.world.mishaps.befall(name) {
        return Ok(status);
    }
    match body(&mut Guest::new(caller)) {
        Ok(()) => Ok(Status::Ok as u32),
        Err(Fault::Status(status)) => Ok(status as u32),
        Err(Fault::Trap(error)) => Err(error),
    }
}

/// One import of the module `env`: `import!(linker, name, |guest, argument: type, …| body)`.
macro_rules! import {
    ($linker:expr, $name:ident, |$guest:ident $(, $argument:ident : $type:ty)*| $body:block) => {
        $linker
            .func_wrap("env", stringify!($name), |caller: wasmtime::Caller<'_, super::VmState> $(, $argument: $type)*| {
                super::serve(caller, stringify!($name), |$guest: &mut super::Guest<'_>| $body)
            })
            .expect("one definition per import")
    };
}
use import;

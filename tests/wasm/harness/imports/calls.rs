//! Calls to other clusters.

use wasmtime::Linker;

use super::import;
use crate::harness::abi::Status;
use crate::harness::calls::{CallState, HttpCall};
use crate::harness::vm::VmState;

pub fn link(linker: &mut Linker<VmState>) {
    import!(linker, proxy_http_call, |guest,
                                      cluster: u32,
                                      cluster_len: u32,
                                      headers: u32,
                                      headers_len: u32,
                                      body: u32,
                                      body_len: u32,
                                      trailers: u32,
                                      trailers_len: u32,
                                      timeout: u32,
                                      token: u32| {
        let cluster = guest.text(cluster, cluster_len)?;
        let headers = guest.pairs(headers, headers_len)?;
        let body = guest.bytes(body, body_len)?;
        let trailers = guest.pairs(trailers, trailers_len)?;
        let world = guest.state().world.clone();
        let required = [":method", ":path", ":authority"];
        if world.unreachable.borrow().unknown.contains(&cluster)
            || required.iter().any(|name| headers.get(name).is_none())
        {
            return Err(Status::BadArgument.into());
        }
        if world.unreachable.borrow().without_hosts.contains(&cluster) {
            return Err(Status::InternalFailure.into());
        }
        let state = guest.state();
        state.last_call_token += 1;
        let new = state.last_call_token;
        let context = state.context_id();
        world.calls.borrow_mut().push(HttpCall {
            vm: state.id,
            life: state.life,
            context,
            token: new,
            cluster,
            headers,
            body,
            trailers,
            timeout_ms: timeout,
            state: CallState::Waiting,
        });
        guest.write(token, &new.to_le_bytes())
    });
}

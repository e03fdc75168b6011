//! Logs, clocks, ticks, contexts, foreign functions.

use wasmtime::{Caller, Linker};

use super::import;
use crate::harness::abi::Status;
use crate::harness::logs::{Level, Line};
use crate::harness::vm::{Context, Deferred, VmState};

pub fn link(linker: &mut Linker<VmState>) {
    import!(linker, proxy_log, |guest, level: u32, text: u32, len: u32| {
        let level = Level::from_number(level).ok_or(Status::BadArgument)?;
        let text = guest.text(text, len)?;
        let vm = guest.state().id;
        guest.state().world.log(Line { vm, level, text });
        Ok(())
    });
    import!(linker, proxy_get_log_level, |guest, level: u32| {
        let current = guest.state().world.log_level.get() as u32;
        guest.write(level, &current.to_le_bytes())
    });
    import!(linker, proxy_get_current_time_nanoseconds, |guest, time: u32| {
        let now = guest.state().world.clock.read_wall();
        guest.write(time, &now.to_le_bytes())
    });
    import!(linker, proxy_set_tick_period_milliseconds, |guest, period: u32| {
        let now = guest.state().world.clock.monotonic();
        let root = guest.state().root().ok_or(Status::BadArgument)?;
        root.tick_period = u64::from(period) * 1_000_000;
        root.tick_due = (period > 0).then(|| now + root.tick_period);
        Ok(())
    });
    import!(linker, proxy_set_effective_context, |guest, context: u32| {
        let state = guest.state();
        if !state.contexts.contains_key(&context) {
            return Err(Status::BadArgument.into());
        }
        state.effective = context;
        Ok(())
    });
    import!(linker, proxy_done, |guest| {
        let state = guest.state();
        let id = state.context_id();
        match state.contexts.get_mut(&id) {
            Some(Context::Root(root)) if root.waits_for_done => {
                root.waits_for_done = false;
                state.deferred.push(Deferred::Delete(id));
                Ok(())
            }
            _ => Err(Status::NotFound.into()),
        }
    });
    import!(
        linker,
        proxy_call_foreign_function,
        |guest, name: u32, name_len: u32, _a: u32, _al: u32, out: u32, out_len: u32| {
            if guest.text(name, name_len)? != "clear_route_cache" {
                return Err(Status::NotFound.into());
            }
            let stream = guest.state().stream().ok_or(Status::BadArgument)?;
            stream.borrow_mut().route_clears += 1;
            guest.give(&[], out, out_len)
        }
    );
    clock_time_get(linker);
}

/// The one WASI import Envoy is asked for; its statuses are WASI's errno.
fn clock_time_get(linker: &mut Linker<VmState>) {
    const REALTIME: u32 = 0;
    const MONOTONIC: u32 = 1;
    const EINVAL: u32 = 28;
    let define = |mut caller: Caller<'_, VmState>, clock: u32, _precision: u64, at: u32| {
        let world = caller.data_mut().world.clone();
        let now = match clock {
            REALTIME => world.clock.read_wall(),
            MONOTONIC => world.clock.read_monotonic(),
            _ => return Ok(EINVAL),
        };
        super::serve(caller, "clock_time_get", |guest| guest.write(at, &now.to_le_bytes()))
    };
    linker
        .func_wrap("wasi_snapshot_preview1", "clock_time_get", define)
        .expect("one definition per import");
}

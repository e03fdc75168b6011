//! From every state a way back to closed: all workers but one are lost, and so are their requests;
//! the upstream is well, and time passes.
//!
//! Any of the workers may be the one that is left, with its old snapshot and what it had begun; or
//! none, and a new one starts. Where clients upload, there is a way back too if they do nothing
//! else and each takes longer than its lease, and if those who never finish are always the first to
//! ask.

use fusebox::breaker::{Outcome, Permit};

use crate::kept::fingerprint;
use crate::properties::is_closed;
use crate::worker::{Op, Worker};
use crate::world::{State, Workers};

/// In seconds: a lease runs out, it is open again, a probe passes; and one for the reading that is
/// a second old.
const SOON: u64 = 4;
/// The same where the last place was just given back, and the one before by a slow client too.
const LATER: u64 = SOON + 4;

/// Who asks.
#[derive(Clone, Copy, Debug)]
enum Clients {
    /// Their requests are all there.
    Prompt,
    /// Each takes longer than its lease to send its request, and is answered then.
    Uploading,
    /// Before each that is prompt there is one that never finishes its request.
    Hostile,
}

pub fn has_a_way_back(model: &Workers, state: &State) -> bool {
    let new = Worker::new(&model.policy, &state.stored, state.now());
    state.workers.iter().chain([&new]).all(|worker| {
        // Many states are the same to the one that is left.
        let case = fingerprint(&(state.now, &state.stored, worker));
        if model.ways_back.read().unwrap().contains(&case) {
            return true;
        }
        let slow: &[Clients] =
            if model.has_uploads { &[Clients::Uploading, Clients::Hostile] } else { &[] };
        let recovers = recovers(model, state, worker, SOON, Clients::Prompt)
            && slow.iter().all(|clients| recovers(model, state, worker, LATER, *clients));
        if recovers {
            model.ways_back.write().unwrap().insert(case);
        }
        recovers
    })
}

fn recovers(
    model: &Workers,
    state: &State,
    worker: &Worker,
    seconds: u64,
    clients: Clients,
) -> bool {
    let mut state = State { workers: vec![worker.clone()], ..state.clone() };
    model.finish(&mut state, 0, false);
    settle_all(model, &mut state);
    (0..=seconds).any(|_| {
        act(model, &mut state, Op::Sync);
        settle_overdue(model, &mut state);
        for _ in 0..model.policy.half_open.successes.get() {
            let hung = match clients {
                Clients::Hostile => ask(model, &mut state, false),
                Clients::Prompt | Clients::Uploading => None,
            };
            let asked = ask(model, &mut state, !matches!(clients, Clients::Uploading));
            if let (Some(permit), Clients::Prompt | Clients::Hostile) = (asked, clients) {
                settle(model, &mut state, permit);
            }
            state.workers[0].permits.retain(|permit| Some(*permit) != hung);
        }
        let is_back = is_closed(&state.record(&model.policy)) && is_admitted(model, &state);
        state.now += 1;
        is_back
    })
}

fn settle_all(model: &Workers, state: &mut State) {
    for permit in state.workers[0].permits.clone() {
        settle(model, state, permit);
    }
}

/// Those that have had a place for a whole lease.
fn settle_overdue(model: &Workers, state: &mut State) {
    for permit in state.workers[0].permits.clone() {
        let until = permit.started.whole_millis() + model.policy.half_open.probe_timeout;
        if until <= state.now() {
            settle(model, state, permit);
        }
    }
}

fn settle(model: &Workers, state: &mut State, permit: Permit) {
    act(model, state, Op::Settle(permit, Outcome::Success));
}

fn is_admitted(model: &Workers, state: &State) -> bool {
    ask(model, &mut state.clone(), true).is_some()
}

fn ask(model: &Workers, state: &mut State, is_complete: bool) -> Option<Permit> {
    let before = state.workers[0].permits.len();
    act(model, state, Op::Admit { is_complete });
    state.workers[0].permits.get(before).copied()
}

fn act(model: &Workers, state: &mut State, op: Op) {
    model.begin(state, 0, op);
    model.finish(state, 0, false);
}

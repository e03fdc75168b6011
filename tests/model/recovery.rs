//! From every state a way back to closed: all workers but one are lost, and so are their requests;
//! the upstream is well, and time passes.
//!
//! Any of the workers may be the one that is left, with its old snapshot and what it had begun; or
//! none, and a new one starts.

use fusebox::breaker::Outcome;

use crate::kept::fingerprint;
use crate::properties::is_closed;
use crate::worker::{Op, Worker};
use crate::world::{State, Workers};

/// In seconds: a lease runs out, it is open again, a probe passes; and one for the reading that is
/// a second old.
const SOON: u64 = 4;

pub fn has_a_way_back(model: &Workers, state: &State) -> bool {
    let new = Worker::new(&model.policy, &state.stored, state.now());
    state.workers.iter().chain([&new]).all(|worker| {
        // Many states are the same to the one that is left.
        let case = fingerprint(&(state.now, &state.stored, worker));
        if model.ways_back.read().unwrap().contains(&case) {
            return true;
        }
        let recovers = recovers(model, state, worker);
        if recovers {
            model.ways_back.write().unwrap().insert(case);
        }
        recovers
    })
}

fn recovers(model: &Workers, state: &State, worker: &Worker) -> bool {
    let mut state = State { workers: vec![worker.clone()], ..state.clone() };
    model.finish(&mut state, 0, false);
    (0..=SOON).any(|_| {
        settle_all(model, &mut state);
        act(model, &mut state, Op::Sync);
        for _ in 0..model.policy.half_open.successes.get() {
            act(model, &mut state, Op::Admit { is_complete: true });
            settle_all(model, &mut state);
        }
        let is_back = is_closed(&state.record(&model.policy)) && is_admitted(model, &state);
        state.now += 1;
        is_back
    })
}

fn settle_all(model: &Workers, state: &mut State) {
    for permit in state.workers[0].permits.clone() {
        act(model, state, Op::Settle(permit, Outcome::Success));
    }
}

fn is_admitted(model: &Workers, state: &State) -> bool {
    let mut state = state.clone();
    act(model, &mut state, Op::Admit { is_complete: true });
    !state.workers[0].permits.is_empty()
}

fn act(model: &Workers, state: &mut State, op: Op) {
    model.begin(state, 0, op);
    model.finish(state, 0, false);
}

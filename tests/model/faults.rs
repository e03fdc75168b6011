//! A checker that finds nothing proves nothing: each promise is broken on purpose, and it is to find
//! that.

use stateright::{Checker, HasDiscoveries, Model};

use crate::flaw::Flaw;
use crate::properties::{GENERATION, NOT_EARLY, NOT_LOST, NOT_TWICE, PROBES, WAY_BACK};
use crate::world::Workers;

fn is_caught(flaw: Flaw, property: &'static str) {
    is_caught_in(Workers::new(2, 1), flaw, property);
}

fn is_caught_in(model: Workers, flaw: Flaw, property: &'static str) {
    let until = HasDiscoveries::AnyOf([property].into());
    let checker = model.broken(flaw).checker().finish_when(until).spawn_bfs().join();
    let Some(path) = checker.discovery(property) else {
        panic!("{flaw:?} does not break {property:?}");
    };
    let states = checker.unique_state_count();
    let steps = path.into_actions().len();
    println!("{flaw:?} breaks {property:?}: after {states} states, in {steps} steps");
}

#[test]
fn a_store_that_swaps_blindly_lets_too_many_probes_out() {
    is_caught(Flaw::SwapsBlindly, PROBES);
}

#[test]
fn a_store_that_swaps_blindly_tells_a_transition_twice() {
    is_caught(Flaw::SwapsBlindly, NOT_TWICE);
}

#[test]
fn a_store_that_swaps_blindly_takes_the_generation_back() {
    is_caught(Flaw::SwapsBlindly, GENERATION);
}

#[test]
fn a_swap_that_never_loses_lets_too_many_probes_out() {
    is_caught(Flaw::NeverLoses, PROBES);
}

#[test]
fn a_swap_that_never_loses_tells_a_transition_twice() {
    is_caught(Flaw::NeverLoses, NOT_TWICE);
}

#[test]
fn leases_that_never_end_leave_no_way_back() {
    is_caught(Flaw::LeasesNeverEnd, WAY_BACK);
}

#[test]
fn forgetting_slow_clients_leaves_those_who_only_upload_no_way_back() {
    let uploads = Workers { has_uploads: true, ..Workers::new(2, 1) };
    is_caught_in(uploads, Flaw::ForgetsSlowClients, WAY_BACK);
}

#[test]
fn a_worker_that_never_syncs_has_no_way_back() {
    is_caught(Flaw::NeverSyncs, WAY_BACK);
}

#[test]
fn telling_before_the_swap_tells_of_what_has_not_happened() {
    is_caught(Flaw::TellsEarly, NOT_EARLY);
}

#[test]
fn telling_before_the_swap_tells_a_transition_twice() {
    is_caught(Flaw::TellsEarly, NOT_TWICE);
}

#[test]
fn forgetting_what_was_decided_again_loses_a_transition() {
    is_caught(Flaw::ForgetsAfterRaces, NOT_LOST);
}

#[test]
fn a_record_that_begins_again_takes_the_generation_back() {
    is_caught(Flaw::RecordRots, GENERATION);
}

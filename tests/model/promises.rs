//! What the checker finds nothing wrong with.

use stateright::{Checker, HasDiscoveries, Model};

use crate::world::{Budget, Workers};

/// Explores all there is in `quick`, or in `deep` where it may take its time.
fn keeps_its_promises(name: &str, quick: Workers, deep: Workers) {
    let is_deep = std::env::var("FUSEBOX_MODEL").is_ok_and(|depth| depth == "deep");
    let model = if is_deep { deep } else { quick };
    let (seen, end) = (model.seen.clone(), model.end);
    // Nothing is discovered of a promise that is kept: it goes on until all states are explored.
    let checker = model.checker().threads(2).finish_when(HasDiscoveries::All).spawn_bfs().join();
    let rare = seen.each().map(|(what, count)| format!("{count} {what}")).join(", ");
    println!("{name}, until {end} s: {} states; {rare}", checker.unique_state_count());
    checker.assert_properties();
    for (what, count) in seen.each() {
        assert!(count > 0, "{name}: no {what}");
    }
}

#[test]
fn two_workers_and_one_probe() {
    let model = Workers::new(2, 1);
    keeps_its_promises("two workers, one probe", model.clone().until(4), model.until(4));
}

/// Deaths and requests without a verdict cost as many states again: the deep one has them.
#[test]
fn two_workers_and_two_probes() {
    let model = Workers::new(2, 2);
    let budget = Budget { ignored: 0, deaths: 0, ..model.budget };
    let quick = Workers { budget, ..model.clone() }.until(3);
    keeps_its_promises("two workers, two probes", quick, model.until(3));
}

#[test]
fn three_workers_and_one_probe() {
    let model = Workers::new(3, 1);
    let budget = Budget { ignored: 0, deaths: 1, ..model.budget };
    let deep = Workers { budget, ..model.clone() }.until(3);
    keeps_its_promises("three workers, one probe", model.until(2), deep);
}

#[test]
fn two_workers_and_an_operator() {
    let model = Workers::new(2, 1);
    let model = Workers { budget: Budget { orders: 1, ..model.budget }, ..model };
    let quick =
        Workers { budget: Budget { ignored: 0, deaths: 0, ..model.budget }, ..model.clone() };
    keeps_its_promises("two workers, an operator", quick.until(3), model.until(3));
}

#[test]
fn two_workers_that_die_and_an_operator() {
    let model = Workers::new(2, 1);
    let model = Workers { budget: Budget { orders: 1, ..model.budget }, ..model };
    keeps_its_promises("dying workers, an operator", model.clone().until(2), model.until(3));
}

/// Who forces a state and ends it, or forces another.
#[test]
fn two_workers_and_an_operator_of_two_minds() {
    let model = Workers::new(2, 1);
    let model = Workers { budget: Budget { orders: 2, ..model.budget }, ..model };
    let quick =
        Workers { budget: Budget { ignored: 0, deaths: 0, ..model.budget }, ..model.clone() };
    keeps_its_promises("two workers, two orders", quick.until(2), model.until(3));
}

#[test]
fn two_workers_and_clients_that_never_finish() {
    let model = Workers { has_uploads: true, ..Workers::new(2, 1) };
    keeps_its_promises("two workers, uploads", model.clone().until(3), model.until(4));
}

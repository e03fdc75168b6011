//! Every interleaving of a few workers over one circuit: the real `Circuit` with its snapshot, its
//! `admit`, `settle`, `lapse`, `force` and the real `Store`, over shared data and a clock that the
//! model holds.
//!
//! A worker takes two steps for each thing it does: it reads the clock and the record, and some time
//! later it swaps, decided by what it had read. In between the others do what they like, time
//! passes, and the worker may die; it may also die after the swap and before it tells anyone. What
//! it decides by its snapshot alone it decides by however old a snapshot. Any request may end in any
//! way or never, also one of a generation that is over. Another worker takes a dead one's place;
//! the probes of the dead one stay at the upstream.
//!
//! What must hold (`properties`): never more live probes of one half-open than allowed; from every
//! state a way back to closed (`recovery`); each transition told exactly once, or lost with its
//! teller; the generation never goes back. That the checker would find out is tried on purpose
//! (`faults`).
//!
//! The bounds: time goes in whole seconds, from the first to the one that `promises` names (a
//! trip, half-open and the way back take two, a lost probe and the next half-open one each); one
//! failure trips, and waits, leases and overrides last a second; one request in flight per worker;
//! one failure counted while forced closed; no successes known of peers (a failure trips whatever
//! they know); no reading of the clock repeats among those that may become probes. How many seconds,
//! workers, probes, orders, deaths and requests without a verdict there are is said by each test.
//! `FUSEBOX_MODEL=deep`, as by `make model`, widens those.
//!
//! Left out: the pulse (a worker syncs at any time or never, told to or not), evictions, other
//! configurations, windows, calls that are told of as slow while in flight (`slow`), and more or
//! fewer successes to close than there may be probes.
//!
//! States that differ in nothing that matters are one: see `State::canonical`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unreachable_pub, missing_debug_implementations)]

mod faults;
mod flaw;
mod kept;
mod policy;
mod promises;
mod properties;
mod recovery;
mod seen;
mod shared;
mod telling;
mod worker;
mod world;

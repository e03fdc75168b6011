//! **fusebox**: a circuit breaker for Envoy, as a proxy-wasm filter.
//!
//! One idea carries the design: a decision is a pure function from a small value to (answer, maybe
//! a next value); one other function swaps the value in safely; everything else is an adapter.
//!
//! # Map
//!
//! | room | what it is for |
//! |---|---|
//! | [`breaker`] | the state machine: records, permits, decisions. Pure; names nobody but [`time`] |
//! | [`store`] | values in shared data, and the one compare-and-swap loop |
//! | [`circuit`] | one circuit as a worker sees it: policy, snapshot, own successes |
//! | [`panel`] | a worker's circuits by cluster name: index, ledger, pulse, sync |
//! | [`classify`] | what happened to a request, and whose doing it was |
//! | [`reply`] | what a rejected client gets where nothing better answers |
//! | [`fallback`] | what answers in place of the upstream |
//! | [`config`] | the configuration, checked |
//! | [`status`] | the circuits as JSON and as a page |
//! | [`events`], [`metrics`] | transitions in words and numbers |
//! | [`outbox`] | what waits to be posted to the webhook |
//! | [`host`] | the only file of hostcalls |
//! | [`filter`] | the proxy-wasm contexts: thin |
//! | `cli` | what is of use at a desk; with the feature `cli`, never in the module |
//!
//! # Arrows
//!
//! ```text
//! Envoy -> filter -> panel -> circuit -> store -> breaker -> time
//!                 -> classify -> breaker::Outcome
//!                 -> reply -> breaker::Rejection
//!                 -> fallback -> reply
//!                 -> status, events -> panel's views and events
//! ```
//!
//! All point inwards. [`host`] implements the traits that [`store`], [`clock`] and [`metrics`]
//! declare, and the filter passes it in. The numbered rules stand in [`breaker`].
//!
//! # Why
//!
//! * **Why a snapshot?** Shared data costs a copy under a process-wide lock. A closed circuit
//!   admits, and an open one rejects, from what the worker knew at its last sync.
//! * **Why are successes not stored?** They are far too many. Each worker counts its own, and one
//!   that is about to trip a circuit asks the others first.
//! * **Why leases?** A probe can hang, its client can leave, its worker can die. Whatever happens,
//!   its lease runs out.
//! * **Why our own hostcalls?** The SDK panics on a status it does not expect, and a panic takes the
//!   worker's filter down with every request in it.

pub mod breaker;
mod bytes;
pub mod circuit;
pub mod classify;
#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
pub mod config;
pub mod events;
pub mod fallback;
pub mod filter;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod headers;
pub mod host;
pub mod metrics;
pub mod outbox;
pub mod panel;
pub mod reply;
pub mod status;
pub mod store;
pub mod time;

#[allow(unsafe_code, missing_docs)]
mod start {
    proxy_wasm::main! {{
        proxy_wasm::set_root_context(|_| Box::new(crate::filter::Root::default()));
    }}
}

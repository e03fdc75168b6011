//! An Envoy that exists in memory: a host of the proxy-wasm HTTP filter ABI with the habits of the real one.
//!
//! It holds state instead of a script of expected calls. A test does something to the host and asks it afterwards; which
//! hostcalls the filter made on the way is its own business, unless the number of them is what the test is about.
//! `harness_is_honest.rs` pins those habits that were once misread.
//!
//! - [`host`]: what a test holds; [`ask`]: its questions; [`setup`]: choices before the start
//! - [`worker`], [`vm`]: a thread of Envoy and the instance in it; [`world`]: what all of them share
//! - [`request`], [`exchange`], [`ending`], [`endings`]: what goes through the filter; [`drive`]: in which order
//! - [`imports`], [`abi`]: the boundary

pub mod abi;
pub mod ask;
pub mod assert;
pub mod calls;
pub mod clock;
pub mod config;
pub mod coverage;
pub mod drive;
pub mod ending;
pub mod endings;
pub mod exchange;
pub mod gap;
pub mod headers;
pub mod host;
pub mod imports;
pub mod ledger;
pub mod logs;
pub mod metrics;
pub mod mishaps;
pub mod module;
pub mod plugins;
pub mod property;
pub mod protobuf;
pub mod queues;
pub mod reply;
pub mod request;
pub mod setup;
pub mod shared_data;
pub mod stream;
pub mod ticking;
pub mod vm;
pub mod worker;
pub mod world;

/// All a test needs, in one import.
#[allow(unused_imports)]
pub mod prelude {
    pub use std::time::Duration;

    pub use serde_json::json;

    pub(crate) use super::assert::{
        assert_admitted, assert_fell_back, assert_rejected, assert_untouched,
    };
    pub use super::assert::{assert_logged, assert_state};
    pub use super::calls::{CallState, HttpCall};
    pub use super::config::{Config, config, no_config};
    pub use super::ending::{Ending, answer};
    pub use super::endings;
    pub use super::exchange::Exchange;
    pub use super::headers::Headers;
    pub use super::host::Host;
    pub use super::logs::Level;
    pub use super::mishaps::Mishap;
    pub use super::module::guest;
    pub use super::request::{Request, delete, get, grpc, head, post, put, request};
    pub use super::stream::Origin;

    pub fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    pub fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    pub fn mins(mins: u64) -> Duration {
        Duration::from_secs(mins * 60)
    }

    pub fn hours(hours: u64) -> Duration {
        Duration::from_secs(hours * 3600)
    }
}

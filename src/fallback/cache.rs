//! The last good response, kept while traffic flows and served while the circuit is open.

mod annotate;
mod asked;
mod budget;
mod coding;
mod copy;
mod credentials;
mod digest;
mod directives;
mod entry;
#[cfg(test)]
mod fixtures;
mod freshness;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod geometry;
mod headers;
mod key;
mod replay;
mod serving;
mod slots;
mod storability;
mod tags;
mod vary;

pub use annotate::annotate;
pub use asked::Asked;
pub use copy::Copy;
pub use credentials::is_personal;
pub use entry::Entry;
pub use geometry::MIN_BYTES;
pub use key::Key;
pub use replay::{Cause, added, without_digests};
pub use serving::{Served, may_serve};
pub use slots::Slots;
pub use storability::{Exchange, Terms, allows_storing, holds_upstream, storable};
pub use vary::Vary;

use crate::time::Span;

/// What a policy says of its cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheRules {
    /// Of requests that are stored. HEAD is served from GET.
    pub methods: Vec<String>,
    pub statuses: Vec<u16>,
    /// The longest that an entry is served.
    pub max_age: Span,
    pub max_body_bytes: usize,
    /// A key is stored again at most this often, per worker.
    pub refresh_after: Span,
    /// Request headers in the key, lower-case.
    pub vary_on: Vec<String>,
    /// Whether the SHA-256 of Authorization is in the key.
    pub per_authorization: bool,
    /// Besides what is known by its name: what blocks storing unless it is in the key.
    pub credential_headers: Vec<String>,
    /// Whether the SHA-256 of the request's body is in the key.
    pub request_body: bool,
    /// How long a rejected request waits for its body.
    pub body_wait: Span,
    pub obey_cache_control: bool,
    /// JSON pointers (RFC 6901), and what is set there in a JSON body, as JSON.
    pub annotate_json: Vec<(String, Vec<u8>)>,
}

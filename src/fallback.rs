//! What answers in place of an upstream: the chain of a policy, tried in order.

pub mod cache;
mod respond;

pub use cache::CacheRules;
pub use respond::Respond;

/// One link of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    pub when: When,
    pub way: Way,
}

/// Which requests it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When {
    /// Those that the circuit rejects.
    pub rejected: bool,
    /// Those that were admitted and failed, as long as nothing of the response has been sent.
    pub failed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    Cache(CacheRules),
    Reroute(Reroute),
    Respond(Respond),
}

/// Another circuit's cluster takes the request, if that circuit admits it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reroute {
    pub circuit: String,
    /// Set on the request in place of filter state, for the route table to match.
    pub headers: Vec<(String, String)>,
}

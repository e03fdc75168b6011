//! Calls the filter makes to other clusters. They are recorded; a test answers them, or does not.

use std::collections::BTreeSet;

use super::headers::Headers;
use super::vm::VmId;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallState {
    Waiting,
    Answered,
    /// The stream it was made from ended, or its VM is gone: no callback ever comes.
    Cancelled,
}

#[derive(Clone, Debug)]
pub struct HttpCall {
    pub vm: VmId,
    pub life: u32,
    pub context: u32,
    pub token: u32,
    pub cluster: String,
    pub headers: Headers,
    pub body: Vec<u8>,
    pub trailers: Headers,
    pub timeout_ms: u32,
    pub state: CallState,
}

impl HttpCall {
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.text(name)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body of the call is JSON")
    }
}

/// The clusters that cannot be called; all others can.
#[derive(Debug, Default)]
pub struct Unreachable {
    pub unknown: BTreeSet<String>,
    pub without_hosts: BTreeSet<String>,
}

//! The proxy-wasm contexts: thin, and the only place that logs.

mod fall_back;
mod http;
mod keep;
mod root;
mod settle;

pub use root::Root;

//! The proxy-wasm contexts: thin, and the only place that logs.

mod ask;
mod fall_back;
mod http;
mod keep;
mod restore;
mod root;
mod settle;
mod wait;
mod waiting_room;
mod webhook;

pub use root::Root;

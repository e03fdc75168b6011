//! The emulator has the habits of the real host: small guests in WebAssembly text do something, and say what came of it.
//!
//! An emulator that is kinder than the host hides exactly the mistakes it is there to find.

mod guests;

mod boundary;
mod configurations;
mod metrics;
mod shared_data;
mod streams;
mod time;

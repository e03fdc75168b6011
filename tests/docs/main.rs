//! The documentation says what the code does.
//!
//! Each fenced block names a language that [`blocks`] or `envoy/e2e/test_docs.py` knows how to try.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unreachable_pub, missing_debug_implementations)]

mod blocks;
mod fields;
mod links;
mod pages;
mod reference;
mod source;

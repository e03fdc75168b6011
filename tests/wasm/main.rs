//! The filter as it is shipped, in an emulated Envoy: one binary, a file per behaviour.

// A harness is a library: it offers what the next test needs, and failing loudly is its job.
#![allow(dead_code, unused_macros, unreachable_pub, missing_debug_implementations)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod harness;

mod harness_is_honest;

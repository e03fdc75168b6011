//! The commands as a user runs them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod cli {
    mod check;
    pub(crate) mod command;
    mod documented;
    mod replay;
}

//! The filter as it is shipped, in an emulated Envoy: one binary, a file per behaviour.
//!
//! The unit tests of the circuit breaker this project set out from, and where their meaning is
//! tested here:
//!
//! | there | here |
//! |---|---|
//! | `test_starts_in_closed_state` | `states::starts_closed` |
//! | `test_opens_after_threshold_failures` | `states::opens_after_the_threshold_of_failures` |
//! | `test_fails_fast_when_open` | `states::an_open_circuit_answers_without_calling_the_upstream` |
//! | `test_transitions_to_half_open_after_timeout` | `states::is_half_open_once_the_wait_is_over` |
//! | `test_closes_on_successful_half_open_call` | `states::a_good_probe_closes_the_circuit` |
//! | `test_reopens_on_failed_half_open_call` | `states::a_failed_probe_reopens_the_circuit` |
//! | `test_does_not_open_below_threshold` | `thresholds::stays_closed_below_the_threshold` |
//! | `test_reset_timeout_clears_old_failures` | `thresholds::old_failures_leave_the_window` |
//! | `test_success_does_not_reset_counter_immediately` | `thresholds::a_success_does_not_reset_the_failures_of_a_window` |
//! | `test_counts_expected_exceptions` | `endings::every_ending_counts_as_the_table_says` |
//! | `test_excludes_specified_exceptions` | `endings::every_ending_counts_as_the_table_says` |
//! | `test_wraps_async_function` | `filter::a_good_exchange_passes_untouched` |
//! | `test_catches_async_exceptions` | `filter::a_failure_reaches_the_client_as_it_is` |
//! | `test_fails_fast_when_circuit_open` | `states::an_open_circuit_answers_without_calling_the_upstream` |
//! | `test_respects_disabled_flag` | `filter::a_circuit_that_is_off_never_trips` |
//! | `test_listener_called_on_state_change` | `telling::a_state_change_is_logged_and_counted_once` |
//! | `test_listener_called_on_failure` | `telling::a_failure_is_counted_and_logged_at_debug` |
//! | `test_listener_called_on_success` | `telling::successes_are_counted_at_the_next_sync` |
//! | `test_get_circuit_status` | `status::says_what_there_is_to_say_of_a_circuit` |
//!
//! `tests/bug_classes.md` has the mistakes of other circuit breakers, and where each is tested.

// A harness is a library: it offers what the next test needs, and failing loudly is its job.
#![allow(dead_code, unused_macros, unreachable_pub, missing_debug_implementations)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod harness;

mod bad_input;
mod blame;
mod bodies;
mod caching;
mod capacity;
mod configuration;
mod control;
mod deadlines;
mod endings;
mod fallbacks;
mod filter;
mod grpc;
mod happy_path;
mod harness_is_honest;
mod policies;
mod probes;
mod replies;
mod sandbox;
mod shadow;
mod slow;
mod states;
mod status;
mod storms;
mod strangers;
mod telling;
mod thresholds;
mod time;
mod webhook;
mod workers;

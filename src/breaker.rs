//! The state machine of one circuit: pure values and pure functions.
//!
//! ```text
//!                 a trip rule is met                       wait over, first request
//!   +--------+ ------------------------> +------+ --------------------------------> +-----------+
//!   | closed |                           | open |                                   | half-open |
//!   +--------+                           +------+ <-------------------------------- +-----------+
//!       ^                                           a probe failed, or its lease          |
//!       |                                           ran out (the next, longer wait)       |
//!       +---------------------------------------------------------------------------------+
//!                                  `successes` probes succeeded
//! ```
//!
//! An operator can force open or closed from any state, for a time: see [`force()`].
//!
//! * **closed**: every request is admitted; failures are counted and the trip rules looked at.
//! * **open**: every request is rejected until the wait is over.
//! * **half-open**: at most `probes` requests at a time are admitted, each on a lease; the others
//!   are rejected.
//!
//! [`admit()`] answers "may this request pass", [`settle()`] takes the outcome of one that did,
//! [`slow()`] that one is taking too long, and [`lapse()`] is what time alone brings about. Each maps `(policy, record, now, ...)` to a
//! [`Decision`]: an answer, and the next record where there is one.
//!
//! The rules, cited by number in the code:
//!
//! 1. A decision depends only on its arguments: it may be made again after a lost race.
//! 2. Nothing is told to anyone (log, metric, reply) until the swap of the record has won; then
//!    from the returned [`Transition`], once.
//! 3. `next: None` means no write. Admitting while closed and rejecting write nothing.
//! 4. Every transition increments the generation. A permit of another generation settles to
//!    [`Settled::Stale`] and changes nothing.
//! 5. A probe holds a lease. When the lease runs out without good response headers, the next admit
//!    or sync of any worker reopens the circuit, so that a lost probe holds nobody up. A probe that
//!    was cancelled or ignored gives its slot back at once. One whose lease runs out while its
//!    client is still sending gives the slot back without a verdict, to requests that are all
//!    there for a while ([`RESERVE`]), and counts when it ends: as a probe of this half-open, once.
//! 6. Time may repeat; it never decides by going backwards: differences saturate.
//! 7. Bytes that cannot be decoded are an absent record: closed, counted, never a trap.
//! 8. Jitter comes from (circuit, time): a decision made again arrives at the same instant, and the
//!    proxies that one outage has opened probe at different ones. There is no randomness anywhere.
//! 9. When the store gives up, a request is admitted untracked if the snapshot says closed, else
//!    rejected with a `retry-after` of one second.
//! 10. A newer configuration reshapes the windows and keeps the phase; an older one that is still
//!     draining never writes its shape.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod admit;
mod backoff;
mod codec;
mod force;
mod lapse;
mod lease;
mod run;
mod settle;
mod slow;
mod transition;
mod trip;
mod window;

pub use admit::admit;
pub use backoff::{Backoff, Jitter, Multiplier};
pub use force::{Forced, force, unforce};
pub use lapse::{Lapsed, lapse};
pub use lease::{headers_arrived, request_sent};
pub use run::Run;
pub use settle::{Evidence, Settled, settle};
pub use slow::slow;
pub use trip::{CountRule, Ratio, RatioRule, TripReason, TripRules};
pub use window::{BUCKETS, Tally, Window, WindowSpan, Windows};

use std::num::{NonZeroU8, NonZeroU32};

use crate::time::{Span, Timestamp};

/// The most probes a half-open circuit can have in flight.
pub const MAX_PROBES: usize = 16;

/// How long a probe's stream has to stay alive after good response headers to be a success before
/// it ends.
pub const PROBE_GRACE: Span = Span::from_secs(1);

/// How long a slot that a slow client gave back is only for requests that are all there, so that
/// slow clients cannot have every slot in turn: twice as long as the rejected are told to wait.
pub const RESERVE: Span = Span::from_secs(2);

/// How one circuit behaves. Cannot be wrong: every part is a checked type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub id: PolicyId,
    pub trip: TripRules,
    pub open: Backoff,
    pub half_open: HalfOpen,
}

/// Tells policies apart in records, with all that a verdict depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyId(pub u64);

/// How a circuit comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HalfOpen {
    /// Probes in flight at most, over all workers; never more than [`MAX_PROBES`].
    pub probes: NonZeroU8,
    /// Successful probes needed to close.
    pub successes: NonZeroU32,
    /// The lease of a probe, from the end of its request.
    pub probe_timeout: Span,
}

/// All that is stored of one circuit, shared by every worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose circuit this is; guards against a slot that was given to another cluster.
    pub owner: Owner,
    /// Grows by one with every transition.
    pub generation: u32,
    /// The configuration that shaped the windows: the time it was applied.
    pub config_epoch: Timestamp,
    /// And its policy.
    pub policy: PolicyId,
    pub last_failure: Option<Timestamp>,
    pub phase: Phase,
}

/// Identifies the cluster of a record, and seeds its jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner(pub u64);

/// Where a circuit stands; data lives in the phase that owns it.
// A box would keep a record from being copied, and decisions are made on copies.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Closed {
        /// Failures of all workers, a ring for each rule that has a window.
        windows: Windows,
        /// Failures in a row.
        run: Run,
        /// The trip this circuit came back from, so that a relapse waits longer.
        recovered: Option<Recovered>,
        /// No rule trips before then: see [`Forced::Closed`].
        forced_until: Option<Timestamp>,
    },
    Open {
        until: Timestamp,
        trips: Trips,
    },
    HalfOpen {
        probes: [Option<Lease>; MAX_PROBES],
        /// Probes that succeeded.
        passed: u32,
        /// When a slow client last gave a slot back.
        stalled: Option<Timestamp>,
        trips: Trips,
    },
}

/// What open and half-open remember of the trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trips {
    /// How many times in a row the circuit has opened, this time included.
    pub in_a_row: u32,
    /// When it opened this time.
    pub at: Timestamp,
    /// How long this opening waits.
    pub wait: Span,
    pub reason: TripReason,
    /// What counted towards the trip, as it stood then: see [`TripRules::shown`].
    pub tally: Tally,
}

/// What closed remembers of the last opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovered {
    pub at: Timestamp,
    pub in_a_row: u32,
    pub wait: Span,
}

/// A probe in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub granted: Timestamp,
    pub stage: Stage,
}

/// How far a probe has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The client has not sent all of the request. Past `until` the slot is given back (rule 5).
    Sending { until: Timestamp },
    /// It is the upstream's turn. Past `until` the probe has failed.
    Waiting { until: Timestamp },
    /// Good response headers have arrived.
    Answered { at: Timestamp },
}

/// The three words a user sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    Closed,
    Open,
    HalfOpen,
}

impl State {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }

    /// The value of the `state` gauge. The order is fixed: dashboards rely on it.
    pub const fn as_gauge(self) -> u64 {
        match self {
            Self::Closed => 0,
            Self::Open => 1,
            Self::HalfOpen => 2,
        }
    }
}

/// An answer, the record to store where it changes, and the transition to tell of once it is
/// stored.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<T> {
    pub answer: T,
    pub next: Option<Record>,
    pub transition: Option<Transition>,
}

impl<T> Decision<T> {
    /// Rule 3: nothing to write.
    pub const fn unchanged(answer: T) -> Self {
        Self { answer, next: None, transition: None }
    }

    pub const fn write(answer: T, next: Record) -> Self {
        Self { answer, next: Some(next), transition: None }
    }

    /// The same decision with another answer.
    pub fn with<U>(self, answer: U) -> Decision<U> {
        Decision { answer, next: self.next, transition: self.transition }
    }
}

/// A circuit has changed state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    pub from: State,
    pub to: State,
    pub reason: Cause,
    pub generation: u32,
    /// How long the circuit stays open, where it opened.
    pub open_for: Option<Span>,
}

/// Why a circuit changed state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Tripped(TripReason),
    WaitOver,
    Recovered {
        probes: u32,
    },
    ForcedClosed,
    /// The time of a circuit that was forced closed is up.
    ForceOver,
}

/// What the machine has to know of a request that asks to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Whether the client has sent all of it.
    pub is_complete: bool,
    pub may_probe: bool,
}

/// May this request pass?
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Admit(Permit),
    Reject(Rejection),
}

/// Proof of admission, handed back with the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Permit {
    pub generation: u32,
    pub started: Timestamp,
    pub probe: Option<Probe>,
}

/// Which lease a probe holds. The time tells it from a later lease of the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Probe {
    pub slot: u8,
    pub granted: Timestamp,
    /// Whether its lease has taken note of good response headers: such a one passes by time too,
    /// and then is not to pass again at its end.
    pub is_answered: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub reason: RejectReason,
    /// Until the next probe may pass.
    pub retry_after: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectReason {
    Open,
    ProbesInFlight,
    /// The circuit waits for a probe, and this request must not be one.
    NoProbe,
}

/// What became of a request, as far as its circuit is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    Success,
    Failure {
        /// The connection or stream died under the request: others may have died with it.
        reset: bool,
    },
    /// Neither: not the upstream's doing.
    Ignored,
}

/// How long the upstream took to send response headers, by the policy's measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pace {
    #[default]
    Fast,
    Slow,
}

/// All that is known of a call that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    pub outcome: Outcome,
    /// A slow call has been told of by [`slow()`] before.
    pub pace: Pace,
    /// How long the upstream asked to be left alone.
    pub retry_after: Option<Span>,
}

impl From<Outcome> for Call {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, pace: Pace::Fast, retry_after: None }
    }
}

impl Record {
    /// A circuit that has seen nothing yet.
    pub fn new(owner: Owner, config_epoch: Timestamp, policy: &Policy) -> Self {
        Self {
            owner,
            generation: 0,
            config_epoch,
            policy: policy.id,
            last_failure: None,
            phase: Phase::Closed {
                windows: Windows::of(&policy.trip),
                run: Run::NONE,
                recovered: None,
                forced_until: None,
            },
        }
    }

    /// The state as stored. See [`Record::state_at`] for what a reader should be told.
    pub const fn state(&self) -> State {
        match self.phase {
            Phase::Closed { .. } => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::HalfOpen { .. } => State::HalfOpen,
        }
    }

    /// The state a reader should be told: an open circuit whose wait is over is half-open, although
    /// the transition happens at the next request.
    pub fn state_at(&self, now: Timestamp) -> State {
        match self.phase {
            Phase::Open { until, .. } if until <= now => State::HalfOpen,
            _ => self.state(),
        }
    }

    /// The record as seen by the configuration of `epoch`: rule 10. A newer one reshapes the
    /// windows, an older one takes the record as it is.
    #[must_use]
    pub fn adopted(&self, epoch: Timestamp, policy: &Policy) -> Self {
        if epoch <= self.config_epoch {
            return *self;
        }
        let phase = match self.phase {
            Phase::Closed { windows, run, recovered, forced_until } => {
                let windows = windows.reshaped(&policy.trip);
                Phase::Closed { windows, run, recovered, forced_until }
            }
            phase => phase,
        };
        Self { config_epoch: epoch, policy: policy.id, phase, ..*self }
    }

    /// Whether the configuration of `epoch` has been overtaken by one with another policy, whose
    /// windows it cannot judge.
    pub fn is_at_odds_with(&self, epoch: Timestamp, policy: PolicyId) -> bool {
        epoch < self.config_epoch && policy != self.policy
    }
}

#[cfg(test)]
pub(crate) mod tests {
    //! What the tests of this room start from.
    use super::*;

    pub(super) const OWNER: Owner = Owner(7);

    pub(super) fn at(millis: u64) -> Timestamp {
        Timestamp::ZERO + Span::from_millis(millis)
    }

    /// Five failures in a row, or half of at least 20 requests in 10 s; open for 30 s, doubling up
    /// to 5 minutes; one probe on a lease of 30 s.
    pub(crate) fn policy() -> Policy {
        let window = WindowSpan::new(Span::from_secs(10)).unwrap();
        Policy {
            id: PolicyId(0),
            trip: TripRules {
                consecutive_failures: NonZeroU32::new(5),
                failure_ratio: Some(RatioRule {
                    ratio: Ratio::new(0.5).unwrap(),
                    minimum_requests: NonZeroU32::new(20).unwrap(),
                    window,
                }),
                failures: None,
                slow_ratio: None,
            },
            open: Backoff::new(
                Span::from_secs(30),
                Multiplier::new(2.0).unwrap(),
                Span::from_secs(300),
                Jitter::NONE,
            )
            .unwrap(),
            half_open: HalfOpen {
                probes: NonZeroU8::MIN,
                successes: NonZeroU32::MIN,
                probe_timeout: Span::from_secs(30),
            },
        }
    }

    pub(super) fn closed(policy: &Policy) -> Record {
        Record::new(OWNER, Timestamp::ZERO, policy)
    }

    pub(super) fn permit(verdict: Verdict) -> Permit {
        match verdict {
            Verdict::Admit(permit) => permit,
            Verdict::Reject(rejection) => panic!("{rejection:?}"),
        }
    }

    /// Admits at `now` and settles `outcome` at the same time, alone in the world.
    pub(super) fn call(
        policy: &Policy,
        record: Record,
        now: Timestamp,
        outcome: Outcome,
    ) -> Record {
        let admitted = admit(policy, &record, now, GET);
        let record = admitted.next.unwrap_or(record);
        let permit = permit(admitted.answer.0);
        let settled = settle(policy, &record, now, &permit, &outcome.into(), &Evidence::ALONE);
        settled.next.unwrap_or(record)
    }

    /// A request without a body that may be a probe.
    pub(super) const GET: Request = Request { is_complete: true, may_probe: true };

    pub(super) const FAILURE: Outcome = Outcome::Failure { reset: false };

    /// Open since 1 s, until 31 s.
    pub(crate) fn open(policy: &Policy) -> Record {
        let record =
            (0..5).fold(closed(policy), |record, _| call(policy, record, at(1_000), FAILURE));
        assert_eq!(record.state(), State::Open);
        record
    }

    /// Half-open since 31 s, with the permit of its first probe.
    pub(super) fn probing(policy: &Policy) -> (Record, Permit) {
        let decision = admit(policy, &open(policy), at(31_000), GET);
        (decision.next.unwrap(), permit(decision.answer.0))
    }

    #[test]
    fn a_reader_is_told_half_open_from_the_moment_the_wait_is_over() {
        let record = open(&policy());
        assert_eq!(record.state_at(at(30_999)), State::Open);
        assert_eq!(record.state_at(at(31_000)), State::HalfOpen);
        assert_eq!(record.state(), State::Open);
    }

    #[test]
    fn a_newer_configuration_signs_the_record_and_no_other_does() {
        let newer = Policy { id: PolicyId(1), ..policy() };
        let record = Record::new(OWNER, at(5), &policy());
        let adopted = record.adopted(at(6), &newer);
        assert_eq!((adopted.config_epoch, adopted.policy), (at(6), PolicyId(1)));
        for epoch in [at(4), at(5)] {
            assert_eq!(record.adopted(epoch, &newer), record);
        }
    }

    #[test]
    fn only_an_older_configuration_with_another_policy_is_at_odds_with_the_record() {
        let record = Record::new(OWNER, at(5), &policy());
        let (same, other) = (PolicyId(0), PolicyId(1));
        assert!(record.is_at_odds_with(at(4), other));
        assert!(!record.is_at_odds_with(at(4), same));
        for epoch in [at(5), at(6)] {
            assert!(!record.is_at_odds_with(epoch, other));
        }
    }
}

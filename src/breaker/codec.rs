//! A record as bytes. The first byte is the version of the format; anything that does not decode
//! to the last byte is no record (rule 7).

use super::{
    BUCKETS, Lease, MAX_PROBES, Owner, Phase, PolicyId, Record, Recovered, Run, Stage, Tally,
    TripReason, Trips, Window, Windows,
};
use crate::bytes::{Reader, Writer};
use crate::time::Span;

const VERSION: u8 = 2;
/// A closed record with every window: what a buffer should hold without growing.
const TYPICAL_BYTES: usize = 1024;

impl Record {
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Writer::with_capacity(TYPICAL_BYTES);
        to.u8(VERSION);
        to.u64(self.owner.0);
        to.u32(self.generation);
        to.time(self.config_epoch);
        to.u64(self.policy.0);
        to.option(self.last_failure, Writer::time);
        match &self.phase {
            Phase::Closed { windows, run, recovered, forced_until } => {
                to.u8(0);
                put_windows(&mut to, windows);
                put_run(&mut to, run);
                to.option(*recovered, put_recovered);
                to.option(*forced_until, Writer::time);
            }
            Phase::Open { until, trips } => {
                to.u8(1);
                to.time(*until);
                put_trips(&mut to, trips);
            }
            Phase::HalfOpen { probes, passed, stalled, trips } => {
                to.u8(2);
                for probe in probes {
                    to.option(*probe, put_lease);
                }
                to.u32(*passed);
                to.option(*stalled, Writer::time);
                put_trips(&mut to, trips);
            }
        }
        to.into_bytes()
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader::new(bytes);
        if from.u8()? != VERSION {
            return None;
        }
        let owner = Owner(from.u64()?);
        let generation = from.u32()?;
        let config_epoch = from.time()?;
        let policy = PolicyId(from.u64()?);
        let last_failure = from.option(Reader::time)?;
        let phase = match from.u8()? {
            0 => Phase::Closed {
                windows: windows(&mut from)?,
                run: run(&mut from)?,
                recovered: from.option(recovered)?,
                forced_until: from.option(Reader::time)?,
            },
            1 => Phase::Open { until: from.time()?, trips: trips(&mut from)? },
            2 => Phase::HalfOpen {
                probes: probes(&mut from)?,
                passed: from.u32()?,
                stalled: from.option(Reader::time)?,
                trips: trips(&mut from)?,
            },
            _ => return None,
        };
        from.finish(Self { owner, generation, config_epoch, policy, last_failure, phase })
    }
}

impl Windows {
    /// The bytes of [`Windows::write_successes`].
    pub const SUCCESSES_BYTES: usize = 3 * (8 + 8 + 4 * BUCKETS);

    /// A worker's own windows count fast successes only; always the same number of bytes.
    pub fn write_successes(&self, to: &mut Writer) {
        for window in [self.failure_ratio, self.failures, self.slow_ratio] {
            let window = window.unwrap_or(Window::ABSENT);
            to.span(window.bucket);
            to.u64(window.head);
            for tally in window.buckets {
                to.u32(tally.successes);
            }
        }
    }

    pub fn read_successes(from: &mut Reader<'_>) -> Option<Self> {
        let mut window = || {
            let mut window = Window { bucket: from.span()?, head: from.u64()?, ..Window::ABSENT };
            for tally in &mut window.buckets {
                let successes = from.u32()?;
                *tally = Tally { successes, fast: successes, ..Tally::NONE };
            }
            Some((window.bucket > Span::ZERO).then_some(window))
        };
        Some(Self { failure_ratio: window()?, failures: window()?, slow_ratio: window()? })
    }
}

fn put_windows(to: &mut Writer, windows: &Windows) {
    to.option(windows.failure_ratio, put_window);
    to.option(windows.failures, put_window);
    to.option(windows.slow_ratio, put_window);
}

fn windows(from: &mut Reader<'_>) -> Option<Windows> {
    let failure_ratio = from.option(window)?;
    let failures = from.option(window)?;
    let slow_ratio = from.option(window)?;
    Some(Windows { failure_ratio, failures, slow_ratio })
}

fn put_window(to: &mut Writer, window: Window) {
    to.span(window.bucket);
    to.u64(window.head);
    for tally in window.buckets {
        put_tally(to, tally);
    }
}

fn window(from: &mut Reader<'_>) -> Option<Window> {
    let bucket = from.span()?;
    let head = from.u64()?;
    let mut buckets = [Tally::NONE; BUCKETS];
    for slot in &mut buckets {
        *slot = tally(from)?;
    }
    Some(Window { bucket, head, buckets })
}

fn put_tally(to: &mut Writer, tally: Tally) {
    to.u32(tally.successes);
    to.u32(tally.failures);
    to.u32(tally.fast);
    to.u32(tally.slow);
}

fn tally(from: &mut Reader<'_>) -> Option<Tally> {
    Some(Tally {
        successes: from.u32()?,
        failures: from.u32()?,
        fast: from.u32()?,
        slow: from.u32()?,
    })
}

fn put_run(to: &mut Writer, run: &Run) {
    to.u32(run.count);
    to.time(run.since);
    for failure in run.recent {
        to.time(failure);
    }
    to.option(run.last_reset, Writer::time);
}

fn run(from: &mut Reader<'_>) -> Option<Run> {
    let mut run = Run { count: from.u32()?, since: from.time()?, ..Run::NONE };
    for failure in &mut run.recent {
        *failure = from.time()?;
    }
    run.last_reset = from.option(Reader::time)?;
    Some(run)
}

fn put_recovered(to: &mut Writer, recovered: Recovered) {
    to.time(recovered.at);
    to.u32(recovered.in_a_row);
    to.span(recovered.wait);
}

fn recovered(from: &mut Reader<'_>) -> Option<Recovered> {
    Some(Recovered { at: from.time()?, in_a_row: from.u32()?, wait: from.span()? })
}

fn put_lease(to: &mut Writer, lease: Lease) {
    to.time(lease.granted);
    let (stage, time) = match lease.stage {
        Stage::Sending { until } => (0, until),
        Stage::Waiting { until } => (1, until),
        Stage::Answered { at } => (2, at),
    };
    to.u8(stage);
    to.time(time);
}

fn lease(from: &mut Reader<'_>) -> Option<Lease> {
    let granted = from.time()?;
    let stage = match (from.u8()?, from.time()?) {
        (0, until) => Stage::Sending { until },
        (1, until) => Stage::Waiting { until },
        (2, at) => Stage::Answered { at },
        _ => return None,
    };
    Some(Lease { granted, stage })
}

fn probes(from: &mut Reader<'_>) -> Option<[Option<Lease>; MAX_PROBES]> {
    let mut probes = [None; MAX_PROBES];
    for probe in &mut probes {
        *probe = from.option(lease)?;
    }
    Some(probes)
}

fn put_trips(to: &mut Writer, trips: &Trips) {
    to.u32(trips.in_a_row);
    to.time(trips.at);
    to.span(trips.wait);
    match trips.reason {
        TripReason::ConsecutiveFailures { failures } => {
            to.u8(0);
            to.u32(failures);
        }
        TripReason::FailureRatio { failures, requests, window } => {
            to.u8(1);
            to.u32(failures);
            to.u32(requests);
            to.span(window);
        }
        TripReason::Failures { failures, window } => {
            to.u8(2);
            to.u32(failures);
            to.span(window);
        }
        TripReason::ProbeFailed => to.u8(3),
        TripReason::ProbeTimedOut => to.u8(4),
        TripReason::ProbeSlow => to.u8(5),
        TripReason::Forced => to.u8(7),
        TripReason::SlowRatio { slow, requests, window } => {
            to.u8(6);
            to.u32(slow);
            to.u32(requests);
            to.span(window);
        }
    }
    put_tally(to, trips.tally);
}

fn trips(from: &mut Reader<'_>) -> Option<Trips> {
    Some(Trips {
        in_a_row: from.u32()?,
        at: from.time()?,
        wait: from.span()?,
        reason: match from.u8()? {
            0 => TripReason::ConsecutiveFailures { failures: from.u32()? },
            1 => TripReason::FailureRatio {
                failures: from.u32()?,
                requests: from.u32()?,
                window: from.span()?,
            },
            2 => TripReason::Failures { failures: from.u32()?, window: from.span()? },
            3 => TripReason::ProbeFailed,
            4 => TripReason::ProbeTimedOut,
            5 => TripReason::ProbeSlow,
            7 => TripReason::Forced,
            6 => TripReason::SlowRatio {
                slow: from.u32()?,
                requests: from.u32()?,
                window: from.span()?,
            },
            _ => return None,
        },
        tally: tally(from)?,
    })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;
    use crate::breaker::tests::*;
    use crate::breaker::{
        CountRule, Evidence, Forced, Outcome, Pace, Permit, Policy, Ratio, RatioRule, Request,
        WindowSpan, admit, force, headers_arrived, lapse, request_sent, settle, slow,
    };
    use crate::time::Timestamp;

    /// With every rule on, so that every window is there.
    fn policy() -> Policy {
        let mut policy = crate::breaker::tests::policy();
        let window = WindowSpan::new(Span::from_secs(10)).unwrap();
        let rule = |n| NonZeroU32::new(n).unwrap();
        policy.trip.failures = Some(CountRule { count: rule(9), window });
        let ratio = Ratio::new(0.8).unwrap();
        policy.trip.slow_ratio = Some(RatioRule { ratio, minimum_requests: rule(2), window });
        policy
    }

    /// Tripped by slow calls.
    fn slowed(policy: &Policy) -> Record {
        let permit = Permit { generation: 0, started: at(0), probe: None };
        (0..2).fold(closed(policy), |record, _| {
            slow(policy, &record, at(1_000), &permit, &Evidence::ALONE).next.unwrap()
        })
    }

    #[test]
    fn every_phase_survives_the_bytes() {
        let policy = policy();
        let slowed = slowed(&policy);
        let upload = Request { is_complete: false, may_probe: true };
        let sending = admit(&policy, &slowed, at(40_000), upload).next.unwrap();
        let stalled = lapse(&policy, &sending, at(70_000)).next.unwrap();
        assert!(matches!(stalled.phase, Phase::HalfOpen { stalled: Some(_), .. }));
        let (half_open, permit) = probing(&policy);
        let with_headers = headers_arrived(&half_open, at(31_100), &permit).next.unwrap();
        let recovered = call(&policy, open(&policy), at(31_000), Outcome::Success);
        let counting = call(&policy, closed(&policy), at(70), FAILURE);
        let forced = |to| force(&policy, &counting, at(80), to, at(90)).next.unwrap();
        for record in [
            closed(&policy),
            counting,
            open(&policy),
            half_open,
            with_headers,
            recovered,
            slowed,
            sending,
            stalled,
            forced(Forced::Open),
            forced(Forced::Closed),
        ] {
            assert_eq!(Record::decode(&record.encode()), Some(record));
        }
    }

    #[test]
    fn every_reason_to_trip_survives_the_bytes() {
        let record = open(&policy());
        let Phase::Open { until, trips } = record.phase else { panic!("{record:?}") };
        let window = Span::from_secs(10);
        for reason in [
            TripReason::ConsecutiveFailures { failures: 1 },
            TripReason::FailureRatio { failures: 1, requests: 2, window },
            TripReason::Failures { failures: 1, window },
            TripReason::SlowRatio { slow: 1, requests: 2, window },
            TripReason::ProbeFailed,
            TripReason::ProbeTimedOut,
            TripReason::ProbeSlow,
            TripReason::Forced,
        ] {
            let phase = Phase::Open { until, trips: Trips { reason, ..trips } };
            let record = Record { phase, ..record };
            assert_eq!(Record::decode(&record.encode()), Some(record));
        }
    }

    #[test]
    fn a_workers_successes_survive_the_bytes_whichever_windows_there_are() {
        let mut all = Windows::of(&policy().trip);
        all.add(at(2_500), Tally::success(Pace::Fast));
        let some = Windows { failures: None, ..all };
        for windows in [all, some] {
            let mut to = Writer::with_capacity(0);
            windows.write_successes(&mut to);
            let bytes = to.into_bytes();
            assert_eq!(bytes.len(), Windows::SUCCESSES_BYTES);
            assert_eq!(Windows::read_successes(&mut Reader::new(&bytes)), Some(windows));
        }
    }

    #[test]
    fn a_cut_a_longer_and_another_version_are_no_record() {
        let bytes = open(&policy()).encode();
        for length in 0..bytes.len() {
            assert_eq!(Record::decode(&bytes[..length]), None, "{length} bytes");
        }
        assert_eq!(Record::decode(&[&bytes[..], &[0]].concat()), None);
        assert_eq!(Record::decode(&[&[VERSION + 1], &bytes[1..]].concat()), None);
    }

    /// Any record at all may lie in shared data: the machine must be total over them.
    fn use_in_every_way(policy: &Policy, record: &Record, now: Timestamp) {
        let _ = lapse(policy, record, now);
        let admitted = admit(policy, record, now, GET);
        if let crate::breaker::Verdict::Admit(permit) = admitted.answer.0 {
            let next = admitted.next.unwrap_or(*record);
            let _ = slow(policy, &next, now, &permit, &Evidence::ALONE);
            let _ = request_sent(policy, &next, now, &permit);
            let _ = headers_arrived(&next, now, &permit);
            for outcome in [Outcome::Success, FAILURE, Outcome::Ignored] {
                let _ = settle(policy, &next, now, &permit, &outcome.into(), &Evidence::ALONE);
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_do_not_and_never_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..600),
        ) {
            let _ = Record::decode(&bytes);
        }

        #[test]
        fn a_damaged_record_never_panics_the_machine(
            which in 0_usize..5, flips in prop::collection::vec((0_usize..1_200, any::<u8>()), 1..8),
            now: u64,
        ) {
            let policy = policy();
            let records =
                [closed(&policy), open(&policy), probing(&policy).0, call(&policy, closed(&policy), at(9), FAILURE), slowed(&policy)];
            let mut bytes = records[which].encode();
            for (position, value) in flips {
                let length = bytes.len();
                bytes[position % length] = value;
            }
            if let Some(record) = Record::decode(&bytes) {
                prop_assert_eq!(&record.encode(), &bytes);
                use_in_every_way(&policy, &record, Timestamp::from_nanos(now));
            }
        }
    }
}

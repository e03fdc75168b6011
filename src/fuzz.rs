//! What the fuzzer runs: each takes any bytes, and panics where something is claimed that does not
//! hold. `make fuzz` looks for such bytes, `fuzz/corpus` has those that led somewhere new, and the
//! tests below try them all again, whole and damaged.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use crate::breaker::{
    Call, Evidence, Forced, MAX_PROBES, Outcome, Permit, Phase, Policy, Record, Request, State,
    Transition, Verdict, admit, force, headers_arrived, lapse, request_sent, settle, slow, unforce,
};
use crate::config::{Config, DAY};
use crate::panel::Order;
use crate::reply::Reply;
use crate::status::{self, Asked, control};
use crate::time::{Span, Timestamp};

pub use crate::config::fuzz::configuration;
pub use crate::fallback::cache::fuzz::{cache_entry, cache_rules};
pub use crate::panel::fuzz::shared_data;

const RULES: &[u8] = br#"{"defaults": {
    "trip": {
        "consecutive_failures": 2, "failure_ratio": {"minimum_requests": 2},
        "failures": {"count": 3, "window": "1m"}, "slow_ratio": {"minimum_requests": 2}
    },
    "classify": {"slow_after": "1s"}, "half_open": {"probes": 3, "successes": 2}
}}"#;

/// By default, and with every rule on.
static POLICIES: LazyLock<[Policy; 2]> =
    LazyLock::new(|| [b"", RULES].map(|json| Config::parse(json).unwrap().policy("up").breaker));
const LONGEST_WAIT: Span = Span::from_secs(300);

/// A record: refused, or the same again when it is written; and whatever it says, the machine can
/// work with it. The first bytes are the time at which it does.
pub fn record(bytes: &[u8]) {
    let Some((now, bytes)) = bytes.split_first_chunk::<8>() else { return };
    let now = Timestamp::from_nanos(u64::from_le_bytes(*now));
    let Some(record) = Record::decode(bytes) else { return };
    assert_eq!(record.encode(), bytes);
    for policy in &*POLICIES {
        for record in [record, record.adopted(now, policy)] {
            work_with(policy, &record, now);
        }
    }
}

fn work_with(policy: &Policy, record: &Record, now: Timestamp) {
    let next = |next: Option<Record>, transition: Option<Transition>| {
        let written = next.unwrap_or(*record);
        assert_eq!(Record::decode(&written.encode()), Some(written));
        if let Some(transition) = transition {
            assert_eq!(transition.generation, written.generation);
            assert_eq!(transition.to, written.state());
            assert_ne!(written.generation, record.generation);
        }
        written
    };
    let lapsed = lapse(policy, record, now);
    next(lapsed.next, lapsed.transition);
    for to in [Forced::Open, Forced::Closed] {
        let forced = force(policy, record, now, to, now + DAY);
        let forced = next(forced.next, forced.transition);
        assert_eq!(forced.forced(now).is_some(), now < now + DAY);
        let ended = unforce(policy, &forced, now);
        assert_eq!(ended.answer, now < now + DAY);
    }
    for is_complete in [true, false] {
        let admitted = admit(policy, record, now, Request { is_complete, may_probe: true });
        let admitted_to = next(admitted.next, admitted.transition);
        match admitted.answer.0 {
            Verdict::Admit(permit) => end_call(policy, &admitted_to, now, &permit),
            Verdict::Reject(_) => assert_ne!(admitted_to.state(), State::Closed),
        }
    }
}

fn end_call(policy: &Policy, record: &Record, now: Timestamp, permit: &Permit) {
    if let Phase::HalfOpen { probes, .. } = record.phase {
        let most = usize::from(policy.half_open.probes.get()).min(MAX_PROBES);
        assert!(probes.iter().flatten().count() <= most);
    }
    let next = |next: Option<Record>, transition: Option<Transition>| {
        let next = next.unwrap_or(*record);
        assert_eq!(Record::decode(&next.encode()), Some(next));
        // Whatever was read, a circuit does not open for ever.
        let wait = transition.and_then(|transition| transition.open_for);
        assert!(wait.is_none_or(|wait| wait <= LONGEST_WAIT), "{wait:?}");
    };
    for later in [now, now + Span::from_secs(2)] {
        let it = slow(policy, record, later, permit, &Evidence::ALONE);
        next(it.next, it.transition);
        let it = request_sent(policy, record, later, permit);
        next(it.next, it.transition);
        let it = headers_arrived(record, later, permit);
        next(it.next, it.transition);
        for outcome in [Outcome::Success, Outcome::Failure { reset: true }, Outcome::Ignored] {
            let call = Call { retry_after: Some(Span::from_nanos(u64::MAX)), ..outcome.into() };
            let it = settle(policy, record, later, permit, &call, &Evidence::ALONE);
            next(it.next, it.transition);
        }
    }
}

const STATUS_PATH: &str = "/-/circuit-breakers";
const TOKEN: &str = "a token that nobody knows";

/// A request to the status endpoint, its parts on lines of their own: path, `Accept`,
/// `Authorization`. Whatever they are, the answer is a document that can be read, and only the
/// token gives an order.
pub fn status(bytes: &[u8]) {
    let mut lines = bytes.splitn(3, |byte| *byte == b'\n');
    let [path, accept, authorization] = [(); 3].map(|()| lines.next().unwrap_or_default());
    let [path, accept] = [path, accept].map(String::from_utf8_lossy);
    let prefers_page = status::prefers_page(&accept);
    assert_eq!(status::prefers_page(&accept.to_ascii_uppercase()), prefers_page);
    assert_eq!(status::prefers_page(&format!("{accept},image/png;q=0.1")), prefers_page);

    let expected = Sha256::digest(TOKEN).into();
    if control::is_authorized(&expected, Some(authorization)) {
        let (scheme, token) = authorization.split_at("bearer ".len());
        assert!(scheme.eq_ignore_ascii_case(b"bearer "));
        assert_eq!(token.trim_ascii(), TOKEN.as_bytes());
    }

    let asked = status::asked(STATUS_PATH, &path);
    assert!(asked.is_none() || path.starts_with(STATUS_PATH));
    if let Some(Asked::One(name) | Asked::Override(name)) = asked {
        let reply = status::one(&name, None, Span::ZERO);
        assert_eq!(said(&reply), (404, format!("there is no circuit named \"{name}\"")));
        said(&control::is_off(&name));
    }
    let query = path.split_once('?').map_or("", |(_, query)| query);
    match control::order(b"PUT", query) {
        Ok(Order::Force { span, reason, .. }) => {
            assert!((Span::from_secs(1)..=DAY).contains(&span));
            assert!(!reason.trim().is_empty());
        }
        Ok(Order::Release) => panic!("nobody asked for that"),
        Err(refusal) => assert!(said(&refusal).0 == 400 && !said(&refusal).1.is_empty()),
    }
    assert_eq!(control::order(b"DELETE", query).ok(), Some(Order::Release));
}

/// The status and the detail of a problem document.
fn said(reply: &Reply) -> (u16, String) {
    let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(body.get("status"), Some(&reply.status.into()));
    let detail = body.get("detail").and_then(|detail| detail.as_str());
    (reply.status, detail.unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{Index, select};
    use proptest::test_runner::{RngSeed, TestRunner};

    use super::*;

    type Target = fn(&[u8]);
    /// With as many damaged inputs as take a second or less.
    const TARGETS: [(&str, Target, u32); 6] = [
        ("cache_entry", cache_entry, 200),
        ("cache_rules", cache_rules, 2_000),
        ("configuration", configuration, 1_000),
        ("record", record, 2_000),
        ("shared_data", shared_data, 2_000),
        ("status", status, 2_000),
    ];

    #[derive(Clone, Debug)]
    enum Edit {
        Flip(u8),
        Cut(usize),
        Insert(Vec<u8>),
        /// The rest is that of another input.
        Splice(Vec<u8>),
    }

    fn names(folder: &str) -> BTreeSet<String> {
        let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn corpus(name: &str) -> Vec<Vec<u8>> {
        let folder = format!("fuzz/corpus/{name}");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(&folder);
        names(&folder).iter().map(|file| fs::read(root.join(file)).unwrap()).collect()
    }

    fn edit(corpus: &[Vec<u8>]) -> impl Strategy<Value = (Index, Edit)> + use<> {
        let edit = prop_oneof![
            4 => (1_u8..).prop_map(Edit::Flip),
            2 => (1_usize..20).prop_map(Edit::Cut),
            2 => vec(any::<u8>(), 1..9).prop_map(Edit::Insert),
            1 => select(corpus.to_vec()).prop_map(Edit::Splice),
        ];
        (any::<Index>(), edit)
    }

    fn edited(mut bytes: Vec<u8>, edits: Vec<(Index, Edit)>) -> Vec<u8> {
        for (at, edit) in edits {
            let at = at.index(bytes.len() + 1);
            match edit {
                Edit::Flip(by) => bytes.iter_mut().skip(at).take(1).for_each(|it| *it ^= by),
                Edit::Cut(length) => {
                    bytes.drain(at..(at + length).min(bytes.len()));
                }
                Edit::Insert(more) => {
                    bytes.splice(at..at, more);
                }
                Edit::Splice(other) => {
                    bytes.splice(at.., other.into_iter().skip(at)).for_each(drop)
                }
            }
        }
        bytes
    }

    /// The same every time: what is new is for `make fuzz`.
    #[test]
    fn what_led_somewhere_new_is_tried_again_whole_and_damaged() {
        for (name, target, cases) in TARGETS {
            let corpus = corpus(name);
            corpus.iter().for_each(|bytes| target(bytes));
            let mut runner = TestRunner::new(ProptestConfig {
                cases,
                rng_seed: RngSeed::Fixed(1),
                failure_persistence: None,
                ..ProptestConfig::default()
            });
            let damaged = (select(corpus.clone()), vec(edit(&corpus), 1..6));
            let ran = runner.run(&damaged.prop_map(|(bytes, edits)| edited(bytes, edits)), |it| {
                target(&it);
                Ok(())
            });
            assert!(ran.is_ok(), "{name}: {}", ran.unwrap_err());
        }
    }

    /// Bytes that say what follows are few, and easily missed.
    #[test]
    fn no_byte_of_a_record_can_be_one_too_many() {
        for mut bytes in corpus("record") {
            for at in 0..bytes.len() {
                bytes[at] = bytes[at].wrapping_add(1);
                record(&bytes);
                bytes[at] = bytes[at].wrapping_sub(1);
            }
        }
    }

    #[test]
    fn every_target_of_the_fuzzer_is_one_of_these() {
        let of_fuzzer = names("fuzz/fuzz_targets");
        let of_tests = TARGETS.map(|(name, ..)| format!("{name}.rs"));
        assert_eq!(of_fuzzer, BTreeSet::from(of_tests));
    }
}

//! The cache: see [`crate::fuzz`].
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::de::IgnoredAny;

use super::entry::{Stored, sealed};
use super::geometry::Geometry;
use super::tags::Tags;
use super::{
    Asked, CacheRules, Entry, Exchange, Key, Slots, Terms, annotate, may_serve, storable,
    without_digests,
};
use crate::config::Config;
use crate::headers::HeaderMap;
use crate::store::{HostError, SharedData, Store, Swapped, Token, Value};
use crate::time::{Span, Timestamp};

/// Any bytes as each of the values: refused, or the same again. And what was stored, whatever
/// becomes of its bytes: gone, or what it was.
pub fn cache_entry(bytes: &[u8]) {
    survives::<Tags>(bytes);
    survives::<Geometry>(bytes);
    survives::<Stored>(bytes);
    survives::<Stored>(&sealed(bytes));

    let store = Store::new(Memory::default());
    let slots = Slots::new("fusebox/1/f/", 1 << 20);
    slots.adopt(&store);
    let stored = [("a", "one"), ("b", "the other"), ("c", "")].map(|(key, body)| {
        let (key, entry) = (Key::new(key.into()), entry(body));
        assert!(slots.put(&store, &key, &entry));
        (key, entry)
    });
    damage(&store.shared().0, bytes);
    for (key, entry) in &stored {
        let is_whole = |found: Option<Entry>| found.is_none_or(|found| found == *entry);
        let find = |now| slots.find(&store, key, Timestamp::from_nanos(now), |_| true);
        assert!(is_whole(find(1)));
        slots.put(&store, key, entry);
        assert!(is_whole(find(2)));
    }
    slots.adopt(&store);
}

/// As accidents would have it: `what` happens `at` a place of one value after another. A sum that
/// is made to fit is no accident.
fn damage(values: &RefCell<BTreeMap<String, Vec<u8>>>, script: &[u8]) {
    const SUM: std::ops::Range<usize> = 1..9;
    let mut values = values.borrow_mut();
    let names: Vec<String> = values.keys().cloned().collect();
    for step in script.as_chunks::<4>().0.iter().take(32) {
        let [which, what, at, by] = step.map(usize::from);
        let name = names.get(which % names.len()).unwrap();
        let other = values.get(names.get(by % names.len()).unwrap()).unwrap().clone();
        let is_entry = !name.contains("set") && !name.contains("geometry");
        let value = values.get_mut(name).unwrap();
        let at = at % (value.len() + 1);
        match what % 4 {
            0 => value.truncate(at),
            1 if is_entry && SUM.contains(&at) => {}
            1 => value.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= by as u8),
            2 => *value = other,
            _ => value.extend(script),
        }
    }
}

const STATUS: &str = ":status: 200";
const GET: &str = ":method: GET\n:scheme: https\n:authority: example.com\n:path: /a";

fn entry(body: &str) -> Entry {
    let head = "cache-control: public, max-age=60\nvary: accept\ncontent-type: text/plain";
    let exchange = Exchange {
        request: &lines(GET),
        response: &lines(&format!("{STATUS}\n{head}")),
        wall: Span::ZERO,
        delay: Span::ZERO,
    };
    let terms = storable(rules(0), &exchange).unwrap();
    entry_of(terms, exchange.response.clone(), body.as_bytes())
}

fn entry_of(terms: Terms, headers: HeaderMap, body: &[u8]) -> Entry {
    let stored_at = Timestamp::from_nanos(7);
    Entry { terms, status: 200, headers, body: body.to_vec(), stored_at }
}

const RULES: &str = r#"{
    "circuits": {"1": {"fallback": [{"cache": {
        "methods": ["GET", "POST"], "request_body": true, "statuses": [200, 404],
        "vary_on": ["accept", "range"], "per_authorization": true, "max_age": "1m",
        "annotate_json": {"/a": true, "/b/~1": {"x": [1]}, "/c/0": null}
    }}]}},
    "defaults": {"fallback": [{"cache": {}}]}
}"#;

/// By default, and with everything on.
static RULES_OF: LazyLock<[CacheRules; 2]> = LazyLock::new(|| {
    let config = Config::parse(RULES.as_bytes()).unwrap();
    ["0", "1"].map(|circuit| config.policy(circuit).cache().unwrap().clone())
});

fn rules(number: usize) -> &'static CacheRules {
    RULES_OF.get(number).unwrap()
}

/// Request headers, response headers and body, with empty lines between: whatever is said there,
/// what may be stored can be written and read, is served to who asked for it and not past its age,
/// and JSON stays JSON.
pub fn cache_rules(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.splitn(3, "\n\n");
    let [request, response, body] = [(); 3].map(|()| parts.next().unwrap_or_default());
    let request = lines(&format!("{request}\n{GET}"));
    let response = lines(&format!("{response}\n{STATUS}"));
    for rules in &*RULES_OF {
        let wall = Span::from_secs(1_700_000_000);
        let exchange = Exchange { request: &request, response: &response, wall, delay: Span::ZERO };
        let key = Asked::new(rules, "up", request.clone(), true).and_then(|it| it.key().cloned());
        if let (Some(key), Some(terms)) = (key, storable(rules, &exchange)) {
            let key = key.bytes;
            let stored = Stored { key, entry: entry_of(terms, response.clone(), body.as_bytes()) };
            assert_eq!(Stored::decode(&stored.encode()).as_ref(), Some(&stored));
            let served =
                |resident| may_serve(rules, &stored.entry.terms, &response, &request, resident);
            assert_eq!(served(rules.max_age), None);
            if let Some(served) = served(Span::from_secs(5)) {
                assert!(served.age >= 5);
            }
        }
        if let Some(annotated) = annotate(&response, body.as_bytes(), &rules.annotate_json) {
            is_annotated(body.as_bytes(), &annotated);
            without_digests(&response);
        }
    }
}

fn is_annotated(body: &[u8], annotated: &[u8]) {
    type Json = serde_json::Value;
    let is_json = |text| serde_json::from_slice::<IgnoredAny>(text).is_ok();
    assert!(is_json(body) && is_json(annotated));
    // Grammar allows halves of surrogate pairs, and a string does not.
    let Ok(annotated) = serde_json::from_slice::<Json>(annotated) else { return };
    assert_eq!(annotated.pointer("/a"), Some(&Json::Bool(true)));
    assert_eq!(annotated.pointer("/b/~1/x/0"), Some(&1.into()));
    assert_eq!(annotated.pointer("/c/0"), Some(&Json::Null));
}

/// Headers, one on a line. Names are lower-case, as the host has them.
fn lines(text: &str) -> HeaderMap {
    text.lines().filter_map(header).collect()
}

fn header(line: &str) -> Option<(String, &str)> {
    let colon = line.get(1..)?.find(':')? + 1;
    let (name, value) = line.split_at_checked(colon)?;
    Some((name.to_ascii_lowercase(), value.strip_prefix(':')?.trim()))
}

fn survives<V: Value>(bytes: &[u8]) {
    if let Some(value) = V::decode(bytes) {
        assert_eq!(value.encode(), bytes);
    }
}

/// Shared data of one worker.
#[derive(Debug, Default)]
struct Memory(RefCell<BTreeMap<String, Vec<u8>>>);

impl SharedData for Memory {
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, Token)>, HostError> {
        Ok(self.0.borrow().get(key).map(|bytes| (bytes.clone(), Token::MIN)))
    }

    fn swap(&self, key: &str, bytes: &[u8], _: Token) -> Result<Swapped, HostError> {
        self.put(key, bytes).map(|()| Swapped::Won)
    }

    fn create(&self, key: &str, bytes: &[u8]) -> Result<Swapped, HostError> {
        self.swap(key, bytes, Token::MIN)
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), HostError> {
        self.0.borrow_mut().insert(key.to_owned(), bytes.to_vec());
        Ok(())
    }
}

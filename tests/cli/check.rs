//! `fusebox check`.

use fusebox::config::{Config, schema};

use super::command::fusebox;

const DOCUMENT: &str = r#"{
    "defaults": { "open": { "duration": "10s" } },
    "circuits": {
        "backend": {
            "trip": { "slow_ratio": {} }, "classify": { "slow_after": "2s" },
            "fallback": [{ "cache": {} }, { "respond": { "body": "sorry" } }]
        },
        "outbound|*": { "mode": "off" }
    },
    "status": {},
    "events": { "webhook": { "cluster": "alerts" } }
}"#;

#[test]
fn what_is_wrong_is_one_line_with_the_file_and_the_place() {
    let done = fusebox(&["check", "-"], r#"{"defaults": {"open": {"jitter": 2}}}"#);
    assert_eq!((done.code, done.out.as_str()), (1, ""));
    assert_eq!(done.err, "-: defaults.open.jitter: 2 is out of range, expected 0 to 1\n");

    let done = fusebox(&["check", "no/such.json"], "");
    assert_eq!(done.code, 1);
    assert!(done.err.starts_with("no/such.json: No such file"), "{}", done.err);
}

#[test]
fn what_is_no_json_at_all_is_called_by_its_name() {
    for (bytes, expected) in [
        (&b"\xef\xbb\xbf{}"[..], "begins with a byte order mark, expected JSON without one"),
        (b"\x1f\x8b\x08\x00", "is gzip, expected JSON as text"),
        (b"\xff\xfe{\0}\0", "is UTF-16, expected JSON in UTF-8"),
        (
            include_bytes!("../../envoy/envoy.yaml"),
            "is this Envoy's YAML? expected the plugin's configuration alone, as JSON",
        ),
        (b"nonsense", "configuration: not valid JSON at line 1 column 2: expected ident"),
    ] {
        let path = format!("{}/bytes.json", env!("CARGO_TARGET_TMPDIR"));
        std::fs::write(&path, bytes).unwrap();
        let done = fusebox(&["check", &path], "");
        assert_eq!((done.code, done.err), (1, format!("{path}: {expected}\n")));
    }
}

#[test]
fn nothing_is_a_configuration_and_is_said_to_be_nothing() {
    for empty in ["", " \n"] {
        let done = fusebox(&["check", "-"], empty);
        assert!(done.out.starts_with("-: empty, so the built-in defaults hold\n"), "{}", done.out);
    }
}

#[test]
fn sizes_are_shown_as_people_write_them() {
    for (given, shown) in [
        (r#""32MiB""#, "32MiB"),
        ("1048577", "1048577"),
        (r#""1.5MiB""#, "1536KiB"),
        (r#""1GiB""#, "1GiB"),
    ] {
        let document = format!(r#"{{"cache": {{"max_bytes": {given}}}}}"#);
        let out = fusebox(&["check", "-"], &document).out;
        let line = out.lines().find(|line| line.starts_with("cache.max_bytes ")).expect(&out);
        assert_eq!(line.split_whitespace().last(), Some(shown));
    }
}

#[test]
fn the_policy_of_each_name_is_shown_with_what_differs() {
    let done = fusebox(&["check", "-"], DOCUMENT);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let (general, rest) = done.out.split_once("\nEvery cluster that no entry names\n").unwrap();
    let (defaults, rest) = rest.split_once("\nbackend\n").unwrap();
    let (backend, rest) = rest.split_once("\noutbound|*\n").unwrap();
    let has = |part: &str, path: &str, value: &str| {
        let is_it =
            |line: &str| line.trim().strip_prefix(path).is_some_and(|it| it.trim() == value);
        assert!(part.lines().any(is_it), "{path} {value} in:\n{part}");
    };
    has(general, "events.webhook.authority", "alerts");
    has(general, "status.path", "/-/circuit-breakers");
    has(defaults, "trip.consecutive_failures", "5");
    has(defaults, "open.duration", "10s");
    has(backend, "open.duration", "10s");
    has(backend, "trip.slow_ratio.ratio", "0.8 *");
    has(backend, "fallback.0.cache.max_age", "24h *");
    has(backend, "fallback.1.respond.status", "200 *");
    has(backend, "trip.consecutive_failures", "off *");
    has(backend, "trip.failure_ratio", "off *");
    assert!(rest.trim_start().starts_with("mode              off *\n"), "{rest}");
    assert!(rest.contains("BlackHoleCluster, PassthroughCluster, inbound|*"), "{rest}");
}

#[test]
fn as_json_it_is_the_same_configuration_with_nothing_left_out() {
    for document in ["", DOCUMENT] {
        let filled_in = fusebox(&["check", "--json", "-"], document).json();
        let same = Config::parse(filled_in.to_string().as_bytes()).unwrap();
        assert_eq!(same, Config::parse(document.as_bytes()).unwrap());
        let again = fusebox(&["check", "--json", "-"], &filled_in.to_string()).json();
        assert_eq!(again, filled_in);
    }
}

#[test]
fn the_schema_is_printed() {
    assert_eq!(fusebox(&["schema"], "").out, schema::text());
}

//! `fusebox replay`, on logs of outages whose answer is known.

use serde_json::{Value, json};

use super::command::{Done, fusebox};

/// No jitter, so that the waits are exact.
const CONFIG: &str = r#"{"defaults": {
    "trip": {"consecutive_failures": 5},
    "open": {"duration": "10s", "jitter": 0}
}}"#;

/// A request of the log.
#[derive(Clone)]
struct Entry {
    began: u64,
    took: u64,
    cluster: &'static str,
    status: u16,
}

/// 2026-01-31T12:00:00Z and so many milliseconds, of an hour at most.
fn time(millis: u64) -> String {
    format!(
        "2026-01-31T12:{:02}:{:02}.{:03}Z",
        millis / 60_000,
        millis / 1_000 % 60,
        millis % 1_000
    )
}

impl Entry {
    fn line(&self) -> String {
        let Self { began, took, cluster, status } = self;
        let fields = json!({
            "time": time(*began), "milliseconds": took, "cluster": cluster, "status": status,
            "details": "via_upstream", "flags": "-", "method": "GET", "path": "/", "upstream": null,
        });
        fields.to_string() + "\n"
    }
}

/// As Envoy writes it: a line when its request ends.
fn log(mut entries: Vec<Entry>) -> String {
    entries.sort_by_key(|entry| entry.began + entry.took);
    entries.iter().map(Entry::line).collect()
}

/// Ten requests a second for three minutes, each of 20 ms. From 12:01 to 12:02 all of them fail.
fn outage() -> Vec<Entry> {
    let entry = |n: u64| {
        let began = n * 100;
        let is_down = (60_000..120_000).contains(&began);
        Entry { began, took: 20, cluster: "backend", status: if is_down { 503 } else { 200 } }
    };
    (0..1_800).map(entry).collect()
}

/// A file of its own for each test that needs the configuration beside the log.
fn replay(name: &str, config: &str, log: &str, more: &[&str]) -> Done {
    let path = format!("{}/{name}.json", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&path, config).unwrap();
    fusebox(&[&["replay", "-", "--config", &path], more].concat(), log)
}

fn report(name: &str, config: &str, log: &str) -> Value {
    replay(name, config, log, &["--json"]).json()
}

fn transition(at: &str, to: &str, reason: &str, rejected: [u64; 2]) -> Value {
    json!([format!("2026-01-31T12:{at}Z"), to, reason, rejected])
}

fn transitions(circuit: &Value) -> Vec<Value> {
    let short = |it: &Value| {
        json!([it["at"], it["to"], it["reason"], [it["rejected"], it["rejected_succeeded"]]])
    };
    circuit["transitions"].as_array().unwrap().iter().map(short).collect()
}

/// The fifth failure ends at 12:01:00.420. The waits double, and the third ends after the outage:
/// of its 400 rejected requests the 107 from 12:02:00.0 to 12:02:10.6 had succeeded.
fn answer() -> Vec<Value> {
    vec![
        transition("01:00.420", "open", "5 consecutive failures", [100, 0]),
        transition("01:10.500", "half-open", "wait over", [0, 0]),
        transition("01:10.520", "open", "probe failed", [200, 0]),
        transition("01:30.600", "half-open", "wait over", [0, 0]),
        transition("01:30.620", "open", "probe failed", [400, 107]),
        transition("02:10.700", "half-open", "wait over", [0, 0]),
        transition("02:10.720", "closed", "1 probe succeeded", [0, 0]),
    ]
}

#[test]
fn a_known_outage_has_the_known_answer() {
    let report = report("outage", CONFIG, &log(outage()));
    let [circuit] = &report["circuits"].as_array().unwrap()[..] else { panic!("{report}") };
    assert_eq!(transitions(circuit), answer());
    for (field, expected) in [
        ("requests", json!(1_800)),
        ("succeeded", json!(1_200)),
        ("failed", json!(600)),
        ("opened", json!(3)),
        ("rejected", json!(700)),
        ("rejected_succeeded", json!(107)),
        ("not_closed_seconds", json!(70.3)),
    ] {
        assert_eq!(circuit[field], expected, "{field}");
    }
    assert_eq!(report["from"], "2026-01-31T12:00:00.000Z");
    assert_eq!(report["to"], "2026-01-31T12:02:59.920Z");
}

#[test]
fn people_read_the_same_as_it_is_documented() {
    let documented = include_str!("../../docs/replay.md").split("```text report\n").nth(1).unwrap();
    let documented = documented.split("```").next().unwrap().replace("access.log: ", "-: ");
    let Done { code, out, err } = replay("text", CONFIG, &log(outage()), &[]);
    assert_eq!((code, err.as_str(), out.as_str()), (0, "", documented.as_str()));
}

#[test]
fn the_order_of_the_lines_does_not_matter() {
    let in_order = log(outage());
    let mut lines: Vec<&str> = in_order.lines().collect();
    // Every seventh, then the rest: far apart from where they were.
    lines.sort_by_key(|line| line.len() % 2);
    let n = lines.len();
    let shuffled: Vec<&str> = (0..n).map(|i| lines[i * 7 % n]).collect();
    assert_ne!(shuffled, lines);
    let report = report("shuffled", CONFIG, &shuffled.join("\n"));
    assert_eq!(transitions(&report["circuits"][0]), answer());
}

#[test]
fn a_circuit_knows_nothing_of_another_cluster() {
    let mut entries = outage();
    entries.extend(outage().into_iter().map(|it| Entry { cluster: "other", status: 200, ..it }));
    let report = report("two", CONFIG, &log(entries));
    let circuits = report["circuits"].as_array().unwrap();
    assert_eq!((&circuits[0]["name"], &circuits[1]["name"]), (&json!("backend"), &json!("other")));
    assert_eq!(transitions(&circuits[0]), answer());
    assert_eq!((&circuits[1]["rejected"], &circuits[1]["requests"]), (&json!(0), &json!(1_800)));
}

#[test]
fn shadow_mode_is_replayed_as_if_enforced() {
    let config = CONFIG.replace(r#"{"defaults": {"#, r#"{"defaults": {"mode": "shadow","#);
    let report = report("shadow", &config, &log(outage()));
    assert_eq!(transitions(&report["circuits"][0]), answer());
    assert_eq!(report["circuits"][0]["rejected"], 700);
}

#[test]
fn what_is_off_is_left_alone() {
    let report = report("off", r#"{"circuits": {"backend": {"mode": "off"}}}"#, &log(outage()));
    let circuit = &report["circuits"][0];
    assert_eq!((&circuit["unguarded"], &circuit["opened"]), (&json!(1_800), &json!(0)));
}

#[test]
fn without_a_configuration_the_defaults_hold() {
    let report = fusebox(&["replay", "-", "--json"], &log(outage())).json();
    let first = &report["circuits"][0]["transitions"][0];
    assert_eq!(first["reason"], "5 consecutive failures");
    // 30s less a jitter of up to a tenth.
    let open_for = first["open_for_seconds"].as_f64().unwrap();
    assert!((27.0..=30.0).contains(&open_for), "{open_for}");
}

/// From 12:01 on the upstream hangs: each call takes a minute, until Envoy gives up.
#[test]
fn a_call_that_hangs_is_slow_long_before_it_ends() {
    let config = r#"{"defaults": {
        "trip": {"slow_ratio": {"ratio": 0.5, "minimum_requests": 20}},
        "classify": {"slow_after": "2s"}, "open": {"jitter": 0}
    }}"#;
    let hangs = |mut entry: Entry| {
        if entry.status == 503 {
            entry = Entry { took: 60_000, status: 504, ..entry };
        }
        entry
    };
    let report = report("slow", config, &log(outage().into_iter().map(hangs).collect()));
    let first = &report["circuits"][0]["transitions"][0];
    assert_eq!(first["to"], "open");
    // Within the window of ten seconds 20 calls are slow once the latest of them is two seconds old.
    assert!(first["reason"].as_str().unwrap().contains("requests were slow within 10s"), "{first}");
    let at = first["at"].as_str().unwrap();
    assert!(("2026-01-31T12:01:04.000Z".."2026-01-31T12:01:09.000Z").contains(&at), "{at}");
}

/// As `outage`, but that responses go on for a minute after their headers.
fn streams(headers: &str) -> String {
    let long = outage().into_iter().map(|it| Entry { took: 60_000, status: 200, ..it }).collect();
    log(long).replace(r#""method""#, &format!(r#""response_milliseconds":{headers},"method""#))
}

#[test]
fn a_call_is_slow_by_when_its_headers_came_or_by_its_end_where_none_did() {
    let config = r#"{"defaults": {
        "trip": {"slow_ratio": {"ratio": 0.5, "minimum_requests": 20}},
        "classify": {"slow_after": "2s"}
    }}"#;
    let opened = |headers: &str| {
        report("headers", config, &streams(headers))["circuits"][0]["opened"].as_u64().unwrap()
    };
    assert_eq!(opened("20"), 0);
    assert!(opened("2500") > 0);
    assert!(opened("null") > 0);
}

/// Envoy writes null for the time of headers that never came: once such lines were no request.
#[test]
fn a_call_that_got_no_answer_is_a_request_and_a_failure() {
    let refused = "upstream_reset_before_response_started{remote_connection_failure}";
    let log = streams("null").replace("via_upstream", refused).replace(":200,", ":503,");
    let circuit = &report("refused", CONFIG, &log)["circuits"][0];
    assert_eq!((&circuit["requests"], &circuit["failed"]), (&json!(1_800), &json!(1_800)));
}

/// The probe of 12:01:10.500 streams for a minute: it has passed one second after its headers.
#[test]
fn a_probe_passes_by_its_headers_though_its_stream_goes_on() {
    let entries = outage().into_iter().map(|it| match it.began {
        70_500 => Entry { took: 60_000, status: 200, ..it },
        _ => it,
    });
    let log = log(entries.collect()).replace(":60000,", r#":60000,"response_milliseconds":30,"#);
    assert!(log.contains("response_milliseconds"));
    let found = transitions(&report("streaming", CONFIG, &log)["circuits"][0]);
    assert_eq!((&found[2][1], &found[2][2]), (&json!("closed"), &json!("1 probe succeeded")));
    let at = found[2][0].as_str().unwrap();
    assert!(("2026-01-31T12:01:11.530Z"..="2026-01-31T12:01:11.550Z").contains(&at), "{at}");
}

/// Its 60 s lie beyond the lease of 30 s: the circuit does not wait for its end.
#[test]
fn a_probe_that_hangs_is_judged_by_its_lease() {
    let entries = outage().into_iter().map(|it| match it.began {
        70_500 => Entry { took: 60_000, ..it },
        _ => it,
    });
    let report = report("lease", CONFIG, &log(entries.collect()));
    let expected = transition("01:40.500", "open", "probe timed out", [200, 0]);
    let found = transitions(&report["circuits"][0]);
    assert_eq!(found[2][1], expected[1]);
    assert_eq!(found[2][2], expected[2]);
    let at = found[2][0].as_str().unwrap();
    assert!(("2026-01-31T12:01:40.500Z"..="2026-01-31T12:01:40.510Z").contains(&at), "{at}");
}

#[test]
fn lines_that_are_no_request_are_counted_and_the_first_shown() {
    let good = Entry { began: 0, took: 1, cluster: "a", status: 200 }.line();
    let without = good.replace(r#""cluster":"a""#, r#""cluster":null"#);
    let bad = [
        "[2026] \"GET / HTTP/1.1\" 200\n",
        "\u{0}\u{1}\n",
        "[]\n",
        &good.replace("2026-01-31T", "yesterday "),
        &good.replace(r#""milliseconds":1"#, r#""milliseconds":-1"#),
        &good.replace(r#""status":200"#, r#""status":"OK""#),
        &good.replace(r#""time""#, r#""at""#),
        &good.replace(r#""status""#, r#""code""#),
        &good.replace(r#""cluster":"a""#, r#""cluster":["a"]"#),
        &good[..good.len() / 2],
    ];
    let log = good.clone() + &bad.concat() + "\n\n" + &without + &good;
    let report = fusebox(&["replay", "-", "--json"], &log).json();
    assert_eq!((&report["requests"], &report["bad_lines"]), (&json!(2), &json!(10)));
    assert_eq!(report["without_cluster"], 1);

    let out = fusebox(&["replay", "-"], &log).out;
    for line in [
        "10 lines that are no request, left out; the first:",
        "  line 2: not a JSON object: invalid type: sequence, expected an object at column ",
        "  line 5: `time`: \"yesterday 12:00:00.000Z\", expected a time such as \"2026-01-31T12:00:00.000Z\" \
         (%START_TIME% without a format)",
        "  line 6: `milliseconds`: -1, expected milliseconds such as 20",
    ] {
        assert!(out.lines().any(|it| it.starts_with(line)), "{line}\nin:\n{out}");
    }
    assert!(!out.contains("line 7:"), "only the first are shown:\n{out}");
}

/// Once it was no error to have understood nothing, so that a script took the upstream for well.
#[test]
fn a_log_without_any_request_is_an_error_that_says_what_was_expected() {
    let good = Entry { began: 0, took: 1, cluster: "a", status: 200 }.line();
    let text = "[2026-01-31T12:00:00.000Z] \"GET / HTTP/1.1\" 200 - via_upstream\n";
    for (arguments, log, expected) in [
        (
            &["--time-field", "start"][..],
            good.repeat(3),
            "none of its 3 lines is a request to a cluster, expected a JSON object per line with \
             start, milliseconds, cluster and status (docs/replay.md); other names: --time-field \
             and the like; line 1: `start`: missing, expected a time such as",
        ),
        (&[], "\n".to_owned(), "its one line is no request to a cluster, expected a JSON object"),
        (
            &[],
            text.repeat(3),
            "none of its 3 lines is a request to a cluster: this is Envoy's text format, expected \
             json_format as in envoy/envoy.yaml\n",
        ),
        (
            &["--cluster-field", "upstream_cluster"],
            good.repeat(2),
            "none of its 2 lines is a request to a cluster: there is no `upstream_cluster`, \
             another name: --cluster-field\n",
        ),
        (
            &[],
            good.replace(r#""cluster":"a""#, r#""cluster":"-""#),
            "its one line is no request to a cluster: `cluster` is empty where there is one\n",
        ),
        (&[], "{\0\"\0t\0".to_owned(), "its one line is no request to a cluster, expected a"),
    ] {
        let done = fusebox(&[&["replay", "-"], arguments].concat(), &log);
        assert_eq!((done.code, done.out.as_str()), (1, ""), "{log}");
        let said = done.err.strip_prefix("-: ").unwrap();
        assert!(said.starts_with(expected), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn a_log_that_is_no_text_is_refused_and_one_with_a_byte_order_mark_is_read() {
    let line = Entry { began: 0, took: 1, cluster: "a", status: 200 }.line();
    let path = format!("{}/bytes.log", env!("CARGO_TARGET_TMPDIR"));
    let replay = |start: &[u8], rest: &str| {
        std::fs::write(&path, [start, rest.as_bytes()].concat()).unwrap();
        fusebox(&["replay", &path, "--json"], "")
    };
    let gzip = format!("{path}: gzip, expected text: zcat access.log.gz | fusebox replay -\n");
    assert_eq!((replay(b"\x1f\x8b", &line).code, replay(b"\x1f\x8b", &line).err), (1, gzip));
    let utf_16 = format!("{path}: UTF-16, expected UTF-8\n");
    assert_eq!((replay(b"\xff\xfe", &line).code, replay(b"\xff\xfe", &line).err), (1, utf_16));
    let marked = replay(b"\xef\xbb\xbf", &line.repeat(2)).json();
    assert_eq!((&marked["requests"], &marked["bad_lines"]), (&json!(2), &json!(0)));
}

#[test]
fn fields_can_have_other_names_and_flags_stand_in_for_details() {
    let line = |millis: u64, flags: &str, code: &str| {
        let fields = json!({
            "start": time(millis), "ms": "20", "up": "backend", "code": code, "f": flags, "details": "-",
        });
        fields.to_string() + "\n"
    };
    // Four are failures of the upstream; the proxy's own limit in between is none of its doing.
    let log: String = [
        ("UF,URX", "503"),
        ("UO", "503"),
        ("UT", "504"),
        ("UH", "503"),
        ("-", "500"),
        ("UC", "503"),
    ]
    .iter()
    .zip((0..).step_by(1_000))
    .map(|((flags, code), millis)| line(millis, flags, code))
    .collect();
    let arguments = [
        "--json",
        "--time-field",
        "start",
        "--duration-field",
        "ms",
        "--cluster-field",
        "up",
        "--status-field",
        "code",
        "--flags-field",
        "f",
    ];
    let report = replay("names", CONFIG, &log, &arguments).json();
    let circuit = &report["circuits"][0];
    assert_eq!((&circuit["failed"], &circuit["ignored"]), (&json!(5), &json!(1)));
    assert_eq!(
        transitions(circuit),
        [transition("00:05.020", "open", "5 consecutive failures", [0, 0])]
    );
}

#[test]
fn what_a_breaker_kept_from_the_upstream_says_nothing_of_it() {
    let said = |details: &str| {
        let entry = Entry { began: 0, took: 1, cluster: "a", status: 503 };
        let log = entry.line().replace("via_upstream", details);
        let circuit = fusebox(&["replay", "-", "--json"], &log).json()["circuits"][0].clone();
        (circuit["failed"].clone(), circuit["ignored"].clone())
    };
    assert_eq!(said("circuit_breaker_open"), (json!(0), json!(1)));
    // This one the upstream did fail, and got a fallback's answer in its place.
    assert_eq!(said("circuit_breaker_upstream_failed"), (json!(1), json!(0)));
}

#[test]
fn a_name_cannot_forge_a_line_or_steer_a_terminal() {
    let line = Entry { began: 0, took: 1, cluster: "a\n\u{1b}[2J", status: 200 }.line();
    let out = fusebox(&["replay", "-"], &line).out;
    assert!(out.contains("\n\"a\\n\\u{1b}[2J\"\n"), "{out}");
}

#[test]
fn a_value_that_is_not_understood_is_cut_and_cannot_steer_a_terminal() {
    let good = Entry { began: 0, took: 1, cluster: "a", status: 200 }.line();
    let bad = good.replace("2026-01-31T12:00:00.000Z", &"\u{9b}".repeat(5_000));
    let out = fusebox(&["replay", "-"], &(bad + &good)).out;
    assert!(
        out.contains(&format!("`time`: \"{}\", expected a time", r"\u{9b}".repeat(60))),
        "{out}"
    );
}

#[test]
fn one_is_not_told_as_many() {
    let good = Entry { began: 0, took: 1, cluster: "a", status: 200 }.line();
    let out = fusebox(&["replay", "-"], &good).out;
    assert!(out.starts_with("-: 1 line, 1 request to a cluster\n"), "{out}");
    assert!(out.contains("\n  1 request: 1 succeeded"), "{out}");
    let out =
        fusebox(&["replay", "-"], &(good.clone() + "[]\n" + &good.replace("\"a\"", "null"))).out;
    assert!(
        out.contains(
            "\n1 request without a cluster, left out\n1 line that is no request, left out:\n"
        ),
        "{out}"
    );
}

#[test]
fn an_empty_log_is_no_error() {
    let done = fusebox(&["replay", "-"], "");
    assert_eq!((done.code, done.out.as_str()), (0, "-: 0 lines, 0 requests to a cluster\n"));
}

#[test]
fn a_bad_configuration_is_refused_before_the_log_is_read() {
    let done = replay("bad", r#"{"max_circuits": 0}"#, "", &[]);
    assert_eq!(done.code, 1);
    assert!(
        done.err.ends_with("bad.json: max_circuits: 0 is out of range, expected 1 to 4096\n"),
        "{}",
        done.err
    );
}

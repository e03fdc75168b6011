//! Overrides: an operator forces a state, for a time and with a reason.

use crate::harness::prelude::*;
use crate::harness::worker::Worker;

const TOKEN: &str = "open sesame";
const TOKEN_SHA256: &str = "41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb";

fn base() -> Config {
    config().trips_after(3).opens_for(secs(30)).status_at("/s").control_token(TOKEN_SHA256)
}

fn host() -> Host {
    let host = Host::with(base());
    host.request().answered(200);
    host
}

fn ask(worker: &Worker, method: &str, path: &str, token: Option<&str>) -> Exchange {
    let asked = request(method, &format!("/s{path}")).without_cluster();
    worker.send(match token {
        Some(token) => asked.header("authorization", format!("Bearer {token}")),
        None => asked,
    })
}

fn order(host: &Host, method: &str, path: &str) -> Exchange {
    ask(&host.worker(0), method, path, Some(TOKEN))
}

fn entry(host: &Host, circuit: &str) -> serde_json::Value {
    ask(&host.worker(0), "GET", &format!("/{circuit}"), None).json()["circuit_breaker"].clone()
}

#[test]
fn a_circuit_that_is_forced_open_rejects_until_its_time_is_up() {
    let host = host();
    let reply = order(&host, "PUT", "/up/override?state=open&for=10m&reason=a%20leak");
    assert_eq!(reply.status(), 200, "{reply:?}");
    let shown = &reply.json()["circuit_breaker"];
    assert_eq!((&shown["state"], &shown["reason"]), (&json!("open"), &json!("override: a leak")));
    assert_eq!(shown["override"]["reason"], "a leak");
    assert_eq!(shown["override"]["state"], "open");
    let left =
        shown["override"]["until"].as_f64().unwrap() - reply.json()["timestamp"].as_f64().unwrap();
    assert!((599.0..=600.0).contains(&left), "{left}");

    host.advance(secs(599));
    assert_rejected!(host.request(), state = "open", retry_after = 1);
    host.advance(secs(1));
    let probe = assert_admitted!(host.request());
    assert_eq!(probe.filter_state("circuit_breaker").as_deref(), Some("probe"));
    probe.answered(200);
    assert!(entry(&host, "up")["override"].is_null());
}

#[test]
fn a_circuit_that_is_forced_closed_admits_and_counts_afresh_afterwards() {
    let host = host();
    host.traffic(3, 503);
    assert_rejected!(host.request());
    order(&host, "PUT", "/up/override?state=closed&for=1m&reason=we+know");
    host.traffic(20, 503);
    assert_admitted!(host.request());
    let shown = entry(&host, "up");
    assert_eq!(
        (&shown["state"], &shown["override"]["state"]),
        (&json!("closed"), &json!("closed"))
    );
    host.advance(secs(60));
    assert_eq!(host.logs_with("from=closed to=closed reason=\"override over\"").len(), 1);
    host.traffic(2, 503);
    assert_admitted!(host.request());
    host.traffic(1, 503);
    assert_rejected!(host.request(), state = "open");
}

#[test]
fn every_worker_obeys_and_any_may_be_told() {
    let host = Host::with(base()).workers(3);
    (0..3).for_each(|index| drop(host.worker(index).request().answered(200)));
    ask(&host.worker(2), "PUT", "/up/override?state=open&for=1m&reason=a", Some(TOKEN));
    host.advance(millis(20));
    (0..3).for_each(|index| drop(assert_rejected!(host.worker(index).request())));
    ask(&host.worker(1), "DELETE", "/up/override", Some(TOKEN));
    host.advance(millis(20));
    assert_admitted!(host.worker(0).request()).answered(200);
    host.advance(millis(20));
    (0..3).for_each(|index| drop(assert_admitted!(host.worker(index).request())));
    assert_eq!(host.logs_with("reason=\"override: a\"").len(), 1);
    assert_eq!(host.logs_with("override ended circuit=up").len(), 1);
    assert_eq!(host.counter("circuit_breaker.up.opened"), 1);
}

#[test]
fn all_circuits_are_forced_at_once_but_those_that_are_off() {
    let host =
        Host::with(base().circuit("named", json!({})).circuit("off", json!({"mode": "off"})));
    host.request().answered(200);
    let reply = order(&host, "PUT", "/*/override?state=open&for=1m&reason=drill");
    let forced: Vec<_> = reply.json()["circuit_breakers"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["override"]["reason"] == "drill")
        .map(|entry| entry["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(forced, ["named", "up"]);
    assert_admitted!(host.send(get("/").to("off")));
    assert_eq!(order(&host, "PUT", "/off/override?state=open&for=1m&reason=a").status(), 409);
    order(&host, "DELETE", "/%2A/override");
    assert_admitted!(host.request());
}

#[test]
fn nobody_without_the_token_forces_anything() {
    let host = host();
    let path = "/up/override?state=open&for=1m&reason=a";
    for token in [None, Some("open sesam"), Some("")] {
        for method in ["PUT", "DELETE"] {
            let reply = ask(&host.worker(0), method, path, token);
            assert_eq!(reply.status(), 401, "{token:?}");
            assert!(reply.header("www-authenticate").unwrap().starts_with("Bearer"));
        }
    }
    assert_admitted!(host.request());
    let unset = Host::with(config().status_at("/s"));
    let reply = ask(&unset.worker(0), "PUT", path, Some(TOKEN));
    assert_eq!((reply.status(), reply.header("allow").as_deref()), (405, Some("GET, HEAD")));
}

#[test]
fn the_token_is_told_to_nobody() {
    let host = Host::setup().log_level(Level::Trace).boot(base()).unwrap();
    host.request().answered(200);
    for (token, path) in [
        (TOKEN, "/up/override?state=open&for=1m&reason=a"),
        (TOKEN, "/up/override?state=ajar"),
        ("wrong secret", "/up/override?state=open&for=1m&reason=a"),
    ] {
        let reply = ask(&host.worker(0), "PUT", path, Some(token));
        assert!(!reply.text().contains(token) && !reply.text().contains(TOKEN_SHA256));
    }
    let said = host.all_logs().iter().map(|line| line.text.clone()).collect::<String>();
    assert!(
        !said.contains(TOKEN) && !said.contains("wrong secret") && !said.contains(TOKEN_SHA256)
    );
    assert!(!entry(&host, "up").to_string().contains(TOKEN_SHA256));
}

#[test]
fn what_cannot_be_done_is_told() {
    let host = host();
    assert_eq!(order(&host, "PUT", "/none/override?state=open&for=1m&reason=a").status(), 404);
    let reply = order(&host, "PUT", "/up/override?state=open&reason=a");
    assert_eq!(reply.status(), 400);
    assert_eq!(reply.json()["detail"], "for: missing, expected 1s to 24h, such as 10m");
    assert_eq!(order(&host, "POST", "/up/override").status(), 405);
    assert_eq!(order(&host, "PUT", "/up").status(), 405);
    assert_eq!(order(&host, "GET", "/up/override").json()["circuit_breaker"]["name"], "up");
    // The order is there; only the upload is still to come.
    let order = request("PUT", "/s/up/override?state=open&for=1m&reason=a")
        .without_cluster()
        .header("authorization", format!("Bearer {TOKEN}"))
        .body("ignored");
    assert_eq!(host.send(order).status(), 200);
}

#[test]
fn a_hostile_reason_stays_data_and_is_cut() {
    let host = host();
    let reason = "%22%0Alevel%3Dwarn%20%3Cscript%3E".to_owned() + &"x".repeat(300);
    order(&host, "PUT", &format!("/up/override?state=open&for=1m&reason={reason}"));
    let shown = entry(&host, "up")["override"]["reason"].as_str().unwrap().to_owned();
    assert!(shown.starts_with("\"\nlevel=warn <script>x"), "{shown}");
    assert_eq!(shown.len(), 200);
    let lines = host.logs_with("state change");
    assert_eq!(lines.len(), 1);
    assert!(!lines[0].text.contains('\n'), "{:?}", lines[0]);
}

#[test]
fn an_override_survives_an_update_of_the_configuration() {
    let host = host();
    order(&host, "PUT", "/up/override?state=closed&for=10m&reason=a");
    host.reconfigure(base().trips_after(2)).unwrap();
    host.traffic(10, 503);
    assert_admitted!(host.request());
    host.advance(mins(10));
    host.traffic(2, 503);
    assert_rejected!(host.request());
}

#[test]
fn one_circuit_tells_its_story() {
    let host = host();
    host.traffic(2, 503);
    host.request().reset_before_headers("connection_termination");
    host.advance(secs(30));
    host.request();
    let shown = entry(&host, "up");
    let transitions: Vec<_> = shown["transitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            (
                it["from"].as_str().unwrap(),
                it["to"].as_str().unwrap(),
                it["reason"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        transitions,
        [("closed", "open", "3 consecutive failures"), ("open", "half-open", "wait over")]
    );
    let failures: Vec<_> = shown["last_failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["status"].as_u64(), it["details"].as_str().unwrap()))
        .collect();
    assert_eq!(
        failures,
        [
            (Some(503), "via_upstream"),
            (Some(503), "via_upstream"),
            (Some(503), "upstream_reset_before_response_started{connection_termination}"),
        ]
    );
    let [probe] = shown["probes"].as_array().unwrap().as_slice() else { panic!("{shown}") };
    assert_eq!(probe["stage"], "waiting");
    let lease = probe["expires_at"].as_f64().unwrap() - probe["granted_at"].as_f64().unwrap();
    assert!((29.9..=30.1).contains(&lease), "{lease}");
    assert_eq!(shown["policy"]["open"]["duration"], "30s");
    assert_eq!(shown["policy"]["trip"], json!({"consecutive_failures": 3}));
    assert_eq!(shown["policy"]["half_open"]["probes"], 1);
    let listed = &ask(&host.worker(0), "GET", "", None).json();
    assert!(listed["circuit_breakers"][0]["transitions"].is_null());
    assert_eq!(listed["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn failures_of_all_workers_are_told_by_any() {
    let host = Host::with(base().trips_after(100)).workers(2);
    for (worker, status) in [(0, 500), (1, 501), (1, 502), (0, 503)] {
        host.worker(worker).request().answered(status);
        host.advance(millis(10));
    }
    let statuses: Vec<_> = entry(&host, "up")["last_failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| failure["status"].as_u64().unwrap())
        .collect();
    assert_eq!(statuses, [500, 502, 503]);
}

#[test]
fn what_is_not_forced_is_released_without_a_word_or_a_slot() {
    let host = Host::with(base().max_circuits(1).circuit("a", json!({})).circuit("b", json!({})));
    for circuit in ["a", "b", "*"] {
        assert_eq!(order(&host, "DELETE", &format!("/{circuit}/override")).status(), 200);
    }
    assert!(host.logs_with("override ended").is_empty());
    let reply = order(&host, "PUT", "/*/override?state=open&for=1m&reason=a");
    assert_eq!(reply.status(), 503);
    assert!(reply.json()["detail"].as_str().unwrap().contains("max_circuits"));
    assert_rejected!(host.send(get("/").to("a")));
}

#[test]
fn a_circuit_that_is_forced_closed_costs_an_idle_worker_nothing() {
    let host = host();
    host.tick();
    let reads = |host: &Host| {
        let calls = host.hostcalls_during(|host| (0..100).for_each(|_| host.tick())).list();
        calls.into_iter().map(|(_, count)| count).sum::<u64>()
    };
    let idle = reads(&host);
    order(&host, "PUT", "/up/override?state=closed&for=1h&reason=a");
    // What the others are told of it is read once.
    assert!(reads(&host) <= idle + 5);
}

#[test]
fn the_figures_stand_still_while_a_circuit_is_forced_open() {
    let host = host();
    host.traffic(2, 503);
    order(&host, "PUT", "/up/override?state=open&for=1m&reason=a");
    assert_eq!(entry(&host, "up")["fail_count"], 2);
}

#[test]
fn outcomes_that_come_too_late_do_not_push_out_the_failures_that_tripped() {
    let host = host();
    let late: Vec<_> = (0..9).map(|_| host.request()).collect();
    host.traffic(3, 500);
    for call in late {
        call.answered(599);
    }
    let failures = entry(&host, "up")["last_failures"].clone();
    let statuses: Vec<_> =
        failures.as_array().unwrap().iter().map(|it| it["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [500, 500, 500]);
}

#[test]
fn a_circuit_that_is_forced_open_stays_so_when_the_wait_of_its_trip_is_over() {
    let host = host();
    host.traffic(3, 503);
    order(&host, "PUT", "/up/override?state=open&for=10m&reason=a%20leak");
    host.advance(mins(1));
    assert_rejected!(host.request(), state = "open", retry_after = 540);
    assert_eq!(host.counter("circuit_breaker.up.half_opened"), 0);
}

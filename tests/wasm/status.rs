//! The status endpoint.

use crate::harness::prelude::*;

fn host() -> Host {
    Host::with(
        config()
            .trips_after(5)
            .opens_for(secs(30))
            .circuit("hf_api", json!({}))
            .circuit("legacy", json!({"mode": "off"}))
            .status_at("/-/circuit-breakers"),
    )
}

fn ask(host: &Host, path: &str) -> Exchange {
    host.send(get(&format!("/-/circuit-breakers{path}")).without_cluster())
}

fn fail(host: &Host, times: usize) {
    for _ in 0..times {
        host.send(get("/").to("hf_api")).answered(503);
    }
}

#[test]
fn says_what_there_is_to_say_of_a_circuit() {
    let host = host();
    let closed = ask(&host, "/hf_api");
    assert_eq!(closed.status(), 200);
    let circuit = &closed.json()["circuit_breaker"];
    assert_eq!(circuit["name"], "hf_api");
    assert_eq!(circuit["state"], "closed");
    assert_eq!(circuit["is_healthy"], true);
    assert_eq!(circuit["enabled"], true);
    assert_eq!(circuit["fail_count"], 0);
    for nothing in ["last_failure_time", "opened_at", "retry_after", "reason"] {
        assert!(circuit[nothing].is_null(), "{nothing}");
    }
    assert!(closed.json()["timestamp"].is_f64());
}

#[test]
fn an_open_circuit_says_why_and_until_when() {
    let host = host();
    host.send(get("/").to("hf_api")).answered(200);
    fail(&host, 5);
    host.send(get("/").to("hf_api"));
    host.advance(secs(2));
    let reply = ask(&host, "/hf_api");
    assert_eq!(reply.status(), 200);
    let circuit = &reply.json()["circuit_breaker"];
    let now = reply.json()["timestamp"].as_f64().unwrap();
    assert_eq!(circuit["state"], "open");
    assert_eq!(circuit["is_healthy"], false);
    assert_eq!(circuit["reason"], "5 consecutive failures");
    assert_eq!(circuit["retry_after"], 28);
    assert_eq!(circuit["generation"], 1);
    assert_eq!((&circuit["fail_count"], &circuit["failures"]), (&json!(5), &json!(5)));
    assert_eq!(circuit["requests_total"], 6);
    assert_eq!(circuit["rejected"], 1);
    for time in ["opened_at", "last_failure_time"] {
        assert!((now - circuit[time].as_f64().unwrap() - 2.0).abs() < 0.01, "{time}");
    }
}

#[test]
fn all_circuits_are_listed_and_those_configured_from_the_start() {
    let host = host();
    host.send(get("/").to("found")).answered(200);
    let reply = ask(&host, "");
    let circuits = reply.json()["circuit_breakers"].clone();
    let names: Vec<_> =
        circuits.as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["found", "hf_api", "legacy"]);
    assert_eq!(circuits[2]["enabled"], false);
    assert_eq!(circuits[2]["mode"], "off");
}

#[test]
fn the_figures_are_those_of_all_workers() {
    let host = host().workers(2);
    for worker in 0..2 {
        host.worker(worker).send(get("/").to("hf_api")).answered(200);
    }
    host.worker(1).send(get("/").to("hf_api")).answered(503);
    host.tick();
    // The ratio rule is not on here: a run is all there is to tell.
    let circuit = ask(&host, "/hf_api").json()["circuit_breaker"].clone();
    assert_eq!(circuit["fail_count"], 1);
    assert_eq!(circuit["requests_total"], 3);
}

#[test]
fn unknown_circuits_and_methods_are_problems() {
    let host = host();
    let unknown = ask(&host, "/nobody");
    assert_eq!(unknown.status(), 404);
    assert_eq!(unknown.header("content-type").as_deref(), Some("application/problem+json"));
    let path = "/-/circuit-breakers";
    let put = host.send(request("PUT", path).without_cluster());
    assert_eq!((put.status(), put.header("allow").as_deref()), (405, Some("GET, HEAD")));
}

#[test]
fn a_browser_gets_a_page_and_a_program_json() {
    let host = host();
    let path = "/-/circuit-breakers";
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for (accept, content_type) in [
        (None, "application/json"),
        (Some("*/*"), "application/json"),
        (Some("application/json"), "application/json"),
        (Some(browser), "text/html; charset=utf-8"),
    ] {
        for method in ["GET", "HEAD"] {
            let mut asked = request(method, path).without_cluster();
            if let Some(accept) = accept {
                asked = asked.header("accept", accept);
            }
            let reply = host.send(asked);
            assert_eq!(reply.status(), 200);
            assert_eq!(reply.details().as_deref(), Some("circuit_breaker_status"));
            assert_eq!(reply.header("content-type").as_deref(), Some(content_type), "{accept:?}");
            assert_eq!(reply.header("vary").as_deref(), Some("accept"));
            assert_eq!(reply.header("cache-control").as_deref(), Some("no-store"));
        }
    }
    let one = get(&format!("{path}/hf_api")).header("accept", browser).without_cluster();
    assert_eq!(host.send(one).json()["circuit_breaker"]["name"], "hf_api");
    let put = request("PUT", path).header("accept", browser).without_cluster();
    assert_eq!(host.send(put).status(), 405);
}

#[test]
fn names_are_percent_decoded() {
    let host = host();
    host.send(get("/").to("outbound|80||a.b")).answered(200);
    let reply = ask(&host, "/outbound%7C80%7C%7Ca.b");
    assert_eq!(reply.json()["circuit_breaker"]["name"], "outbound|80||a.b");
}

#[test]
fn a_request_with_a_cluster_is_not_answered_unless_asked_everywhere() {
    let host = host();
    assert_admitted!(host.send(get("/-/circuit-breakers")));
    let everywhere = Host::with(config().status_at("/cb").set("status.everywhere", json!(true)));
    assert_eq!(everywhere.send(get("/cb")).details().as_deref(), Some("circuit_breaker_status"));
    assert_admitted!(everywhere.send(get("/other")));
}

#[test]
fn the_status_is_off_unless_configured() {
    let host = Host::with(config());
    assert_admitted!(host.send(get("/-/circuit-breakers").without_cluster()));
}

#[test]
fn looking_gives_no_slot_to_anyone() {
    let host = Host::with(
        config().max_circuits(1).circuit("a", json!({})).circuit("b", json!({})).status_at("/cb"),
    );
    host.tick();
    let before = host.shared_writes();
    host.send(get("/cb").without_cluster());
    host.send(get("/cb/b").without_cluster());
    assert_eq!(host.shared_writes(), before);
}

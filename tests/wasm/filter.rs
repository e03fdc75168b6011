//! What passes through, and what does not.

use crate::harness::prelude::*;

#[test]
fn a_good_exchange_passes_untouched() {
    let host = Host::with(config());
    assert_untouched!(host.request().answered(200));
    assert_untouched!(host.send(post("/", "body")).answered(204));
}

#[test]
fn a_failure_reaches_the_client_as_it_is() {
    let host = Host::with(config());
    let exchange = host.request().answered_with(answer(503).body("from the upstream"));
    assert_untouched!(&exchange);
    assert_eq!((exchange.status(), exchange.text().as_str()), (503, "from the upstream"));
}

#[test]
fn a_circuit_that_is_off_never_trips() {
    let host = Host::with(config().trips_after(1).circuit("up", json!({"mode": "off"})));
    host.traffic(50, 503);
    assert_untouched!(host.request().answered(503));
    assert!(!host.metric_names().iter().any(|name| name.contains(".up.")));
}

#[test]
fn a_request_without_a_cluster_passes() {
    let host = Host::with(config());
    assert_untouched!(host.send(get("/").without_cluster()).answered_with(endings::no_route()));
}

#[test]
fn clusters_of_the_mesh_itself_are_not_guarded_unless_named() {
    let host = Host::with(config().trips_after(1).circuit("inbound|80||", json!({})));
    for cluster in ["inbound|9090||", "PassthroughCluster", "BlackHoleCluster"] {
        host.send(get("/").to(cluster)).answered(503);
        assert_admitted!(host.send(get("/").to(cluster)));
    }
    host.send(get("/").to("inbound|80||")).answered(503);
    assert_rejected!(host.send(get("/").to("inbound|80||")));
}

#[test]
fn a_probe_is_marked_in_the_filter_state() {
    let host = Host::with(config().trips_after(1).opens_for(secs(1)));
    host.traffic(1, 503);
    host.advance(secs(1));
    let probe = assert_admitted!(host.request());
    assert_eq!(probe.filter_state("circuit_breaker").as_deref(), Some("probe"));
}

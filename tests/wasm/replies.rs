//! What a rejected client gets.

use crate::harness::prelude::*;

#[test]
fn the_problem_document_is_the_one_that_was_promised() {
    let host = Host::with(config().trips_after(1).opens_for(secs(27)));
    host.send(get("/").to("hf_api")).answered(503);
    let reply = assert_rejected!(host.send(get("/").to("hf_api")), status = 503, retry_after = 27);
    assert_eq!(
        reply.text(),
        r#"{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"circuit breaker for upstream cluster \"hf_api\" is open; the service is temporarily unavailable","circuit":"hf_api","state":"open","retry_after":27}"#
    );
    assert_eq!(reply.header("content-type").as_deref(), Some("application/problem+json"));
    assert_eq!(reply.details().as_deref(), Some("circuit_breaker_open"));
}

#[test]
fn a_configured_reply_replaces_it() {
    let reject = json!({"status": 429, "headers": {"x-team": "payments"}, "body": "come back"});
    let host = Host::with(config().trips_after(1).set("defaults.reject", reject));
    host.traffic(1, 503);
    let reply = assert_rejected!(host.request(), status = 429);
    assert_eq!(
        (reply.text().as_str(), reply.header("x-team").as_deref()),
        ("come back", Some("payments"))
    );
    assert_eq!(reply.header("content-type").as_deref(), Some("text/plain"));
}

#[test]
fn a_status_without_content_has_none() {
    let host = Host::with(config().trips_after(1).set("defaults.reject", json!({"status": 204})));
    host.traffic(1, 503);
    let reply = assert_rejected!(host.request(), status = 204);
    assert_eq!((reply.text().as_str(), reply.header("content-type")), ("", None));
}

#[test]
fn a_head_request_is_rejected_without_a_body() {
    let host = Host::with(config().trips_after(1));
    host.traffic(1, 503);
    assert_rejected!(host.send(head("/")), status = 503);
}

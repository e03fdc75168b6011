//! The table of endings: what each is counted as. The same table stands in docs/reference.md, and is
//! proven in a real Envoy by the end-to-end tests.

use serde::Deserialize;

use crate::harness::prelude::*;

#[derive(Deserialize)]
struct Row {
    id: String,
    counts: String,
}

const METRICS: [&str; 5] = ["successes", "failures", "ignored", "slow", "stale_results"];

fn rows() -> Vec<Row> {
    serde_json::from_str(include_str!("../endings.json")).unwrap()
}

/// What `counts` means for [`METRICS`].
fn expected(counts: &str) -> [u64; 5] {
    let has = |word| u64::from(counts.split(", ").any(|part| part == word));
    [has("success"), has("failure"), has("nothing"), has("slow"), 0]
}

fn counted(host: &Host) -> [u64; 5] {
    METRICS.map(|metric| host.counter(&format!("circuit_breaker.up.{metric}")))
}

#[test]
fn every_ending_counts_as_the_table_says() {
    for row in rows() {
        let trips_after = if row.id == "own_rejection" { 1 } else { 1_000 };
        let host = Host::with(config().trips_after(trips_after).slow_after(millis(300)));
        if row.id == "own_rejection" {
            host.traffic(1, 503);
        }
        let before = counted(&host);
        play(&row.id, &host);
        host.advance(millis(50));
        let after = counted(&host);
        let added: Vec<_> =
            after.iter().zip(before).map(|(after, before)| after - before).collect();
        assert_eq!(added, expected(&row.counts), "{}: {METRICS:?}", row.id);
    }
}

/// Makes the ending happen.
fn play(id: &str, host: &Host) {
    let ends_as = |ending| drop(host.request().ends_as(ending));
    let calls = |ending| drop(host.send(grpc("/a/B")).ends_as(ending));
    match id {
        // What Envoy does in between is not seen: mirrors, retries, interim answers.
        "answered_200" | "continue_100" | "early_hints_103" | "mirrored_500"
        | "close_delimited" => ends_as(answer(200)),
        "trailers" => ends_as(answer(200).trailers(Headers::new([("x-checksum", "1")]))),
        "answered_404" => ends_as(answer(404)),
        "answered_204" => ends_as(answer(204)),
        "answered_304" => ends_as(answer(304)),
        "head" => drop(host.send(head("/")).answered(200)),
        "upgraded_101" => ends_as(endings::websocket()),
        "upgrade_refused" => ends_as(endings::websocket_refused(200)),
        "early_answer" => drop(host.send(post("/", "").body_to_come()).answered(200)),
        "http2_200" => ends_as(answer(200).h2()),
        "retried_then_200" | "hedged_200" => ends_as(endings::retried_then(200)),
        "redirected_200" => {
            ends_as(endings::internal_redirect());
            ends_as(answer(200));
        }
        "event_stream" => {
            let stream = host.request().headers(200).chunk("data: 1\n\n");
            host.advance(secs(60));
            stream.ends();
        }
        "slow_upload" => {
            let upload = host.send(post("/", "").body_to_come());
            host.advance(secs(1));
            upload.sends("all of it", true).answered(200);
        }
        "grpc_ok" => calls(endings::grpc_ok()),
        "grpc_not_found" => calls(endings::grpc_status(5)),

        "answered_500" => ends_as(answer(500)),
        "http2_503" => ends_as(answer(503).h2()),
        "refused" | "tls_failed" => ends_as(endings::refused()),
        "connect_timeout" => ends_as(endings::connect_timeout()),
        "no_hosts" => ends_as(endings::no_healthy_upstream()),
        "closed" | "reset" => ends_as(endings::closes_before_headers()),
        "http2_reset" => ends_as(endings::reset_before_headers("remote_reset")),
        "http2_refused_stream" => {
            ends_as(endings::reset_before_headers("remote_refused_stream_reset"));
        }
        "garbage" | "headers_too_large" => ends_as(endings::garbage()),
        "truncated" | "truncated_chunks" => ends_as(endings::closes_mid_body()),
        "http2_truncated" => ends_as(endings::h2_closes_mid_body()),
        "http2_reset_mid_body" => ends_as(endings::h2_reset_mid_body()),
        "route_timeout" => ends_as(endings::route_timeout()),
        "idle_timeout" => ends_as(endings::idle_timeout()),
        "max_duration" => ends_as(endings::max_duration()),
        "per_try_timeouts" => ends_as(endings::per_try_timeouts()),
        "retries_exhausted" => ends_as(endings::retries_exhausted(503)),
        "grpc_unavailable" => calls(endings::grpc_status(14)),
        "grpc_trailers_only" => calls(endings::grpc_trailers_only(14)),
        "grpc_without_status" => calls(endings::grpc_without_status()),
        "grpc_reset" => calls(endings::grpc_reset_before_headers("remote_reset")),
        "grpc_reset_mid" => calls(endings::grpc_reset_mid()),
        "grpc_route_timeout" => calls(endings::grpc_route_timeout()),

        "late_200" | "late_503" => {
            let late = host.request();
            host.advance(millis(400));
            late.answered(if id == "late_200" { 200 } else { 503 });
        }
        "hang" => {
            let hanging = host.request();
            host.advance(secs(15));
            hanging.times_out();
        }
        "hang_until_the_client_leaves" => {
            let hanging = host.request();
            host.advance(secs(1));
            hanging.client_leaves();
        }

        "answered_429" => ends_as(answer(429)),
        "grpc_resource_exhausted" => calls(endings::grpc_status(8)),
        "rejected_further_on" => ends_as(answer(503).header("x-circuit-breaker", "open")),
        "route_timeout_mid_body" => ends_as(endings::route_timeout_mid_body()),
        "idle_timeout_mid_body" => ends_as(endings::idle_timeout_mid_body()),
        "max_duration_mid_body" => ends_as(endings::max_duration_mid_body()),
        "client_leaves" => ends_as(endings::client_leaves()),
        "client_leaves_mid_body" => ends_as(endings::client_leaves_mid_body()),
        "client_leaves_mid_upload" => {
            let upload = host.send(post("/", "").body_to_come()).sends("half of it", false);
            host.advance(secs(1));
            upload.client_leaves();
        }
        "client_resets_stream" => ends_as(endings::h2_client_reset()),
        "stalled_upload" => {
            let upload = host.send(post("/", "").body_to_come());
            host.advance(secs(1));
            upload.ends_as(endings::stalled_upload());
        }
        "bad_chunk" => {
            let upload = host.send(post("/", "").body_to_come()).sends("half of it", false);
            upload.ends_as(local_reply(400, "http1.codec_error"));
        }
        "client_deadline" => {
            let call = host.send(get("/").header("x-envoy-upstream-rq-timeout-ms", "100"));
            host.advance(millis(100));
            in_force(&call, 100).times_out();
        }
        "long_client_deadline" => {
            let call = host.send(get("/").header("x-envoy-upstream-rq-timeout-ms", "1000"));
            // Not slow: the policy of the table would have it so after 300 ms.
            in_force(&call, 1_000).times_out();
        }
        "grpc_client_deadline" => {
            let call = host.send(grpc("/a/B").header("grpc-timeout", "100m"));
            host.advance(millis(100));
            call.ends_as(endings::grpc_deadline_exceeded());
        }
        "overflow" => ends_as(endings::overflow()),
        "fault_abort" => ends_as(endings::fault_abort()),
        "rate_limited" => ends_as(endings::rate_limited()),
        "denied" => ends_as(endings::unauthorized()),
        "too_large" => ends_as(endings::payload_too_large()),

        "earlier_filter" => drop(host.unseen(get("/"), endings::earlier_filter_abort())),
        "malformed" => drop(host.unseen(get("/"), endings::codec_reject(400))),
        "no_route" => drop(host.send(get("/").without_cluster()).ends_as(endings::no_route())),
        "own_rejection" => drop(assert_rejected!(host.request())),
        _ => panic!("nothing makes this ending happen: {id}"),
    }
}

/// What the router does to a request: the headers of the client's deadline go, the timeout in
/// force comes.
pub fn in_force(call: &Exchange, millis: u64) -> Exchange {
    call.request_rewritten(|headers| {
        headers.remove("x-envoy-upstream-rq-timeout-ms");
        headers.set("x-envoy-expected-rq-timeout-ms", millis.to_string().as_bytes());
    })
}

fn local_reply(status: u16, details: &str) -> Ending {
    endings::fault_abort().details(details).code(status)
}

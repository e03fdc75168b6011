//! The kinds of request, and of sync.

use serde_json::Value;

use crate::harness::prelude::*;
use crate::measure::{Kind, Lab};

pub const KINDS: &[Kind] = &[
    Kind { name: "closed: success", before: |lab| closed(lab, config()), act: succeed },
    Kind {
        name: "closed: success, `slow_after`",
        before: |lab| closed(lab, config().slow_after(secs(1))),
        act: succeed,
    },
    Kind {
        name: "closed: success, cache, not due",
        before: |lab| stored(lab, caching(), &get("/"), 4 * KIB),
        act: |host| fetch(host, &get("/"), 4 * KIB),
    },
    Kind {
        name: "closed: success, cache, 4 KiB stored",
        before: |lab| due(stored(lab, caching(), &get("/"), 4 * KIB)),
        act: |host| fetch(host, &get("/"), 4 * KIB),
    },
    Kind {
        name: "closed: success, `request_body` of 4 KiB, not due",
        before: |lab| stored(lab, by_body(), &question(), 4 * KIB),
        act: |host| fetch(host, &question(), 4 * KIB),
    },
    Kind {
        name: "closed: gRPC success",
        before: |lab| warm(lab.with(config()), call_grpc),
        act: call_grpc,
    },
    Kind {
        name: "closed: failure",
        before: |lab| warm(lab.with(config()), |host| statuses(host, &[503, 200])),
        act: fail,
    },
    Kind {
        name: "closed: failure that trips",
        before: |lab| warm(lab.with(tripping(5)), |host| recover(host, 4)),
        act: fail,
    },
    Kind { name: "open: rejected", before: |lab| open(lab, tripping(1)), act: rejected },
    Kind { name: "open: cached reply, 1 KiB", before: |lab| open_cache(lab, KIB), act: cached },
    Kind {
        name: "open: cached reply, 16 KiB",
        before: |lab| open_cache(lab, 16 * KIB),
        act: cached,
    },
    Kind {
        name: "open: cached reply, 256 KiB",
        before: |lab| open_cache(lab, 256 * KIB),
        act: cached,
    },
    Kind {
        name: "open: fixed reply",
        before: |lab| open(lab, tripping(1).fallback(json!([{ "respond": { "json": {} } }]))),
        act: |host| drop(assert_fell_back!(host.request(), "respond")),
    },
    Kind {
        name: "open: rerouted, success",
        before: |lab| {
            let host = open(lab, tripping(1).fallback(json!([{ "reroute": { "circuit": "b" } }])));
            warm(host, reroute)
        },
        act: reroute,
    },
    Kind {
        name: "open: shadow mode lets it pass, success",
        before: |lab| warm(open(lab, tripping(1).shadow()), succeed),
        act: succeed,
    },
    Kind {
        name: "half-open: probe, success that closes",
        before: |lab| {
            let host = warm(lab.with(tripping(1)), |host| recover(host, 1));
            host.advance(OPEN);
            host
        },
        act: succeed,
    },
    Kind {
        name: "status: one circuit",
        before: |lab| closed(lab, watched()),
        act: |host| ask(host, "/up", "*/*"),
    },
    Kind {
        name: "status: 100 circuits",
        before: |lab| circuits(lab, 100),
        act: |host| ask(host, "", "*/*"),
    },
    Kind {
        name: "status: page",
        before: |lab| circuits(lab, 100),
        act: |host| ask(host, "", "text/html"),
    },
    Kind { name: "sync: idle", before: |lab| at_tick(closed(lab, config()), 150), act: sync },
    Kind {
        name: "sync: idle, 1,000 circuits",
        before: |lab| at_tick(circuits(lab, 1000), 150),
        act: sync,
    },
    Kind {
        name: "sync: idle, 1,000 circuits, the turn of their index",
        before: |lab| at_tick(circuits(lab, 1000), 1000),
        act: sync,
    },
    Kind {
        name: "sync: after 100 successes and 5 failures",
        before: |lab| {
            let host = warm(lab.with(config()), |host| {
                host.advance(TICK);
                (0..5).for_each(|_| {
                    host.traffic(20, 200);
                    host.traffic(1, 503);
                });
            });
            host.advance_without_ticks(TICK);
            host
        },
        act: sync,
    },
];

const KIB: usize = 1024;
const OPEN: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(10);

/// So often that what is done at first is done, and what grows by doubling has grown.
fn warm(host: Host, act: fn(&Host)) -> Host {
    (0..5).for_each(|_| act(&host));
    host
}

fn closed(lab: &Lab, config: Config) -> Host {
    warm(lab.with(config), succeed)
}

fn succeed(host: &Host) {
    host.traffic(1, 200);
}

fn fail(host: &Host) {
    host.traffic(1, 503);
}

fn statuses(host: &Host, statuses: &[u16]) {
    statuses.iter().for_each(|status| host.traffic(1, *status));
}

fn call_grpc(host: &Host) {
    host.send(grpc("/a/B")).ends_as(endings::grpc_ok());
}

fn tripping(failures: u32) -> Config {
    config().trips_after(failures).opens_for(OPEN).multiplier(1.0)
}

/// As many failures as given; before that a trip, and the probe after it.
fn recover(host: &Host, failures: usize) {
    while host.gauge("circuit_breaker.up.state") != Some(1) {
        fail(host);
    }
    host.advance(OPEN);
    succeed(host);
    host.traffic(failures, 503);
}

fn open(lab: &Lab, config: Config) -> Host {
    let host = lab.with(config);
    statuses(&host, &[200, 503]);
    warm(host, |host| drop(host.request()))
}

fn rejected(host: &Host) {
    assert_rejected!(host.request());
}

fn reroute(host: &Host) {
    assert_admitted!(host.send(get("/").reroutes_to("b"))).answered(200);
}

fn caching() -> Config {
    tripping(1).fallback(json!([{ "cache": {} }]))
}

fn by_body() -> Config {
    let rules = json!({ "methods": ["POST"], "request_body": true });
    config().fallback(json!([{ "cache": rules }]))
}

fn question() -> Request {
    post("/", &"?".repeat(4 * KIB))
}

/// A response in chunks of at most 16 KiB.
fn page(size: usize) -> Ending {
    let body = "x".repeat(size);
    answer(200).header("content-type", "text/plain").chunks(body.as_bytes().chunks(16 * KIB))
}

fn fetch(host: &Host, request: &Request, size: usize) {
    host.send(request.clone()).ends_as(page(size));
}

fn stored(lab: &Lab, config: Config, request: &Request, size: usize) -> Host {
    let mut host = lab.with(config);
    for _ in 0..5 {
        host = due(host);
        fetch(&host, request, size);
    }
    fetch(&host, request, size);
    host
}

fn due(host: Host) -> Host {
    host.advance(secs(1));
    host
}

fn open_cache(lab: &Lab, size: usize) -> Host {
    let host = stored(lab, caching(), &get("/"), size);
    fail(&host);
    warm(host, cached)
}

fn cached(host: &Host) {
    assert_fell_back!(host.request(), "cache");
}

fn watched() -> Config {
    config().status_at("/-/circuit-breakers")
}

fn ask(host: &Host, path: &str, accept: &str) {
    let path = format!("/-/circuit-breakers{path}");
    let reply = host.send(get(&path).header("accept", accept).without_cluster());
    assert_eq!(reply.status(), 200);
}

fn circuits(lab: &Lab, count: usize) -> Host {
    let host = lab.with(watched());
    for number in 0..count {
        host.send(get("/").to(&format!("cluster-{number}"))).answered(200);
    }
    warm(host, |host| ask(host, "", "*/*"))
}

/// All that there was to tell has been told, and the tick of this number is due: which circuit is
/// read again, or the index of all, goes by turns.
fn at_tick(host: Host, number: u32) -> Host {
    host.advance(TICK * (number - 1));
    host.advance_without_ticks(TICK);
    host
}

fn sync(host: &Host) {
    host.worker(0).tick();
}

//! What blows, and what must hold meanwhile.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use proptest::sample::Index;

use super::courses::{Courses, UNTIL_KNOWN};
use crate::harness::prelude::*;

pub const CLUSTERS: [&str; 4] = ["a", "b", "c", "d\u{e9}"];
pub const PATHS: [&str; 2] = ["/", "/x?y=1"];
/// GET, HEAD, POST with its body and without, gRPC.
pub const METHODS: usize = 5;
const TOKEN: &str = "open sesame";
pub const ORDERS: [(&str, &str); 8] = [
    ("GET", "/s"),
    ("GET", "/s/a"),
    ("GET", "/s/%ff%00?x"),
    ("PUT", "/s/a/override?state=open&for=2s&reason=storm"),
    ("PUT", "/s/*/override?state=closed&for=2s&reason=storm"),
    ("DELETE", "/s/*/override"),
    ("PUT", "/s/nobody/override?state=open"),
    ("POST", "/s/a"),
];
/// Of a worker's VM: what it begins with, and room for the largest of what blows here.
const MOST_MEMORY: usize = 32 << 20;
/// In shared data: those of a cache of one mebibyte, which is 116 slots, and some for each circuit and worker.
const MOST_KEYS: usize = 200;

pub const HEADERS: usize = 5;

fn header(number: usize) -> (&'static str, Vec<u8>) {
    match number {
        0 => ("accept-encoding", b"br;q=0, \xff".to_vec()),
        1 => ("cache-control", b"no-store".to_vec()),
        2 => ("x-envoy-expected-rq-timeout-ms", b"\xfe12".to_vec()),
        3 => ("grpc-timeout", vec![b'9'; 300]),
        _ => ("x-long", vec![b'a'; 100_000]),
    }
}

#[derive(Clone, Debug)]
pub struct Traffic {
    pub worker: usize,
    pub cluster: usize,
    pub path: usize,
    pub method: usize,
    pub user: Option<usize>,
    pub header: Option<usize>,
}

/// What happens to a request that is under way.
#[derive(Clone, Debug)]
pub enum Ending {
    Answer(u16),
    Headers(u16),
    Chunk(usize),
    Ends,
    Trailers,
    Reset,
    TimesOut,
    ClientLeaves,
    /// A status that is none, and headers that are not UTF-8.
    Odd,
    Sends(usize, bool),
    SendsTrailers,
    Rerouted,
}

#[derive(Clone, Debug)]
pub enum Damage {
    Foreign(Vec<u8>),
    Cut(Index),
    Flip(Index, u8),
    /// The bytes of another value.
    Another(Index),
    Huge,
}

#[derive(Clone, Debug)]
pub enum Gust {
    /// And what it is answered with, unless that is yet to come.
    Traffic(Traffic, Option<u16>),
    Ending(Index, Ending),
    /// Milliseconds, with their ticks.
    Passes(u64),
    /// Milliseconds in which no event loop runs.
    Stalls(u64),
    /// Hours by which somebody sets it.
    WallClock(i64),
    Damage(Index, Damage),
    /// One hostcall of so many, from now on.
    Refuses {
        every: u8,
        status: u32,
    },
    Garbles {
        every: u8,
        bytes: Vec<u8>,
    },
    Calm,
    Status {
        worker: usize,
        order: usize,
    },
    Reload(usize),
    Reconfigure(usize),
    Webhook(Index, Option<u16>),
}

impl Gust {
    /// Nothing that a host or the workers ever do.
    pub fn is_foul(&self) -> bool {
        matches!(self, Self::Damage(..) | Self::Refuses { .. } | Self::Garbles { .. })
    }
}

/// A request under way.
struct Flight {
    exchange: Exchange,
    question: Question,
    /// Of the upstream's answer so far, where it is a good one.
    answer: Option<Vec<u8>>,
    has_headers: bool,
    is_sent: bool,
    is_marred: bool,
    /// When it came, one worker or another knew its circuit as not closed.
    may_be_rejected: bool,
    /// Of a probe that holds its place until it is answered or its circuit moves on: when that last did.
    probe_since: Option<usize>,
}

/// What tells requests apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Question {
    cluster: &'static str,
    path: &'static str,
    user: Option<usize>,
    body: Vec<u8>,
}

pub struct Sky {
    host: Host,
    flights: Vec<Flight>,
    answers: BTreeMap<Question, BTreeSet<Vec<u8>>>,
    courses: Courses,
    configuration: usize,
    is_fair: bool,
    count: usize,
}

impl Sky {
    pub fn over(configuration: usize, is_fair: bool) -> Self {
        let host = Host::setup().allow_on_headers_stop_iteration().workers(2);
        let host = host
            .boot(super::configuration(configuration))
            .expect("the configuration is a good one");
        let (flights, answers, courses) = (Vec::new(), BTreeMap::new(), Courses::default());
        Self { host, flights, answers, courses, configuration, is_fair, count: 0 }
    }

    pub fn blows(&mut self, gust: &Gust) {
        match gust {
            Gust::Traffic(traffic, status) => {
                let flight = self.sends(traffic);
                match status.map(Ending::Answer) {
                    Some(how) if !flight.exchange.is_over() => self.goes_on(flight, &how),
                    _ => self.keep(flight),
                }
            }
            Gust::Ending(which, how) if !self.flights.is_empty() => {
                let flight = self.flights.swap_remove(which.index(self.flights.len()));
                self.goes_on(flight, how);
            }
            Gust::Passes(ms) => {
                self.courses.read(&self.host);
                self.host.advance(millis(*ms));
                if *ms >= UNTIL_KNOWN {
                    self.courses.all_know();
                }
            }
            Gust::Stalls(ms) => {
                self.courses.read(&self.host);
                self.host.advance_without_ticks(millis(*ms));
                self.host.tick();
                self.courses.all_know();
            }
            Gust::WallClock(by) => {
                let time = hours(by.unsigned_abs());
                match by {
                    ..0 => self.host.wall_clock_jumps_back(time),
                    _ => self.host.wall_clock_jumps_ahead(time),
                }
            }
            Gust::Damage(which, damage) => self.damages(which, damage),
            Gust::Refuses { every, status } => {
                let status = *status;
                self.every(*every, move |import| match import {
                    // The SDK panics on what Envoy never says to these.
                    "proxy_log" | "proxy_set_effective_context" => None,
                    "proxy_http_call" => Some(Mishap::Refused(2)),
                    _ => Some(Mishap::Refused(status)),
                });
            }
            Gust::Garbles { every, bytes } => {
                let bytes = bytes.clone();
                self.every(*every, move |_| Some(Mishap::Garbled(bytes.clone())));
            }
            Gust::Calm => self.host.behaves(),
            Gust::Status { worker, order } => self.asks(*worker, ORDERS[*order]),
            Gust::Reload(worker) => {
                self.host.behaves();
                self.host.worker(*worker).reload();
            }
            Gust::Reconfigure(number) => {
                self.host.behaves();
                self.host
                    .reconfigure(super::configuration(*number))
                    .expect("the configuration is a good one");
                self.host.drop_old();
                self.configuration = *number;
            }
            Gust::Webhook(which, status) => {
                let calls = self.host.waiting_calls();
                match (calls.is_empty(), status) {
                    (true, _) => {}
                    (_, Some(status)) => self.host.answer_call(which.get(&calls), *status),
                    (_, None) => self.host.reset_call(which.get(&calls)),
                }
            }
            Gust::Ending(..) => {}
        }
        // A reload, a sync or a wait that is over ends requests too.
        for flight in std::mem::take(&mut self.flights) {
            self.keep(flight);
        }
        self.holds();
    }

    fn every(&self, every: u8, what: impl Fn(&'static str) -> Option<Mishap> + 'static) {
        let count = Cell::new(0_u8);
        self.host.misbehaves(move |import| {
            count.set((count.get() + 1) % every);
            (count.get() == 0).then(|| what(import)).flatten()
        });
    }

    fn sends(&mut self, traffic: &Traffic) -> Flight {
        self.count += 1;
        let (cluster, path) = (CLUSTERS[traffic.cluster], PATHS[traffic.path]);
        let body = if traffic.method == 2 { format!("{}", self.count % 2) } else { String::new() };
        let mut request = match traffic.method {
            0 => get(path),
            1 => head(path),
            2 => post(path, &body),
            3 => request("POST", path).body_to_come(),
            _ => grpc(path),
        };
        request = request.to(cluster).reroutes_to("b");
        if let Some(user) = traffic.user {
            request = request.header("authorization", format!("Bearer {user}"));
        }
        if let Some(number) = traffic.header {
            let (name, value) = header(number);
            request = request.header(name, value);
        }
        let mishaps = self.host.mishaps();
        let exchange = self.host.worker(traffic.worker).send(request);
        let is_marred = self.host.mishaps() > mishaps;
        self.courses.read(&self.host);
        let may_be_rejected = self.courses.may_be_other_than("closed", cluster);
        let state = exchange.filter_state("circuit_breaker");
        let is_probe = state.as_deref() == Some("probe") && traffic.method != 3;
        let question = Question { cluster, path, user: traffic.user, body: body.into_bytes() };
        let flight = Flight {
            exchange,
            question,
            answer: None,
            has_headers: false,
            is_sent: traffic.method != 3,
            is_marred,
            may_be_rejected,
            probe_since: is_probe.then(|| self.courses.turns(cluster)),
        };
        if self.is_fair && flight.exchange.is_admitted() {
            self.was_admitted(&flight, state.as_deref());
        }
        flight
    }

    fn was_admitted(&self, flight: &Flight, state: Option<&str>) {
        let Flight { exchange, question: Question { cluster, .. }, probe_since, .. } = flight;
        if super::is_lenient(self.configuration, cluster) || state == Some("fallback:reroute") {
            return;
        }
        assert!(self.courses.may_be_other_than("open", cluster), "it is open: {exchange:?}");
        if probe_since.is_some() {
            let is_out = |other: &&Flight| {
                other.question.cluster == *cluster
                    && other.probe_since == *probe_since
                    && !other.has_headers
            };
            let out = 1 + self.flights.iter().filter(is_out).count();
            let most = super::PROBES[self.configuration % super::CONFIGS];
            assert!(out <= most, "{out} probes are out: {exchange:?}");
        }
    }

    /// Back among those under way, unless it is over.
    fn keep(&mut self, flight: Flight) {
        if flight.exchange.is_lost() {
            return;
        }
        if flight.exchange.is_over() {
            self.was_answered(&flight);
        } else {
            self.flights.push(flight);
        }
    }

    fn goes_on(&mut self, mut flight: Flight, how: &Ending) {
        let mishaps = self.host.mishaps();
        let exchange = flight.exchange.clone();
        let is_upstreams = exchange.is_admitted();
        match how {
            Ending::Sends(size, end) if !flight.is_sent => {
                let chunk = vec![b'0'; *size];
                flight.question.body.extend(&chunk);
                flight.is_sent = *end;
                exchange.sends(chunk, *end);
            }
            Ending::SendsTrailers if !flight.is_sent => {
                flight.is_sent = true;
                exchange.sends_trailers();
            }
            Ending::ClientLeaves => {
                exchange.client_leaves();
            }
            Ending::Rerouted => {
                exchange.rerouted("b");
            }
            Ending::Answer(status) if is_upstreams && !flight.has_headers => {
                let body = self.says(&flight.question);
                if *status == 200 && flight.is_sent {
                    self.may_be_kept(&flight, body.clone());
                }
                exchange.answered_with(answer(*status).body(body));
            }
            Ending::Headers(status) if is_upstreams && !flight.has_headers => {
                flight.has_headers = true;
                flight.answer = (*status == 200).then(Vec::new);
                exchange.headers(*status);
            }
            Ending::Chunk(size) if flight.has_headers => {
                let chunk = vec![b'c'; *size];
                if let Some(body) = &mut flight.answer {
                    body.extend(&chunk);
                }
                exchange.chunk(chunk);
            }
            Ending::Ends if flight.has_headers => {
                if let Some(body) = flight.answer.take() {
                    self.may_be_kept(&flight, body);
                }
                exchange.ends();
            }
            Ending::Trailers if flight.has_headers => {
                if let Some(body) = flight.answer.take() {
                    self.may_be_kept(&flight, body);
                }
                exchange.ends_with_trailers(Headers::new([("grpc-status", b"\xff1")]));
            }
            Ending::Reset if is_upstreams && flight.has_headers => {
                exchange.truncated();
            }
            Ending::Reset if is_upstreams => {
                exchange.reset_before_headers("remote_reset");
            }
            Ending::TimesOut if is_upstreams && flight.has_headers => {
                exchange.ends_as(endings::route_timeout_mid_body());
            }
            Ending::TimesOut if is_upstreams => {
                exchange.times_out();
            }
            Ending::Odd if is_upstreams && !flight.has_headers => {
                let odd = answer(200).header(":status", b"2\xff0").header("x-odd", [0xff; 9]);
                exchange.answered_with(odd.header("retry-after", vec![b'9'; 70_000]));
            }
            _ => {}
        }
        flight.is_marred |= self.host.mishaps() > mishaps;
        self.keep(flight);
    }

    /// A body of its own, so that another's would show.
    fn says(&mut self, to: &Question) -> Vec<u8> {
        self.count += 1;
        format!("{to:?} {}", self.count).into_bytes()
    }

    /// For the cluster that serves it: perhaps the one it was sent to in place of its own.
    fn may_be_kept(&mut self, flight: &Flight, body: Vec<u8>) {
        let state = flight.exchange.filter_state("circuit_breaker");
        let cluster = match state.as_deref() {
            Some("fallback:reroute") => "b",
            _ => flight.question.cluster,
        };
        let question = Question { cluster, ..flight.question.clone() };
        self.answers.entry(question).or_default().insert(body);
    }

    fn asks(&mut self, worker: usize, (method, path): (&str, &str)) {
        let asked = request(method, path).without_cluster();
        let mishaps = self.host.mishaps();
        let exchange =
            self.host.worker(worker).send(asked.header("authorization", format!("Bearer {TOKEN}")));
        let is_marred = self.host.mishaps() > mishaps;
        assert!(exchange.local_replies() <= 1, "{exchange:?}");
        assert!(is_marred || exchange.local_reply().is_some(), "nobody answers: {exchange:?}");
        if let Some(reply) = exchange.local_reply() {
            let is_status = reply.details.starts_with("circuit_breaker_status")
                || reply.details.starts_with("circuit_breaker_control");
            assert!(is_marred || is_status, "{exchange:?}");
        }
    }

    /// Of a request that is over: what was said, and whether it could be.
    fn was_answered(&self, flight: &Flight) {
        let Flight { exchange, question, .. } = flight;
        assert!(exchange.local_replies() <= 1, "answered twice: {exchange:?}");
        let Some(reply) = exchange.local_reply() else { return };
        if reply.header("x-circuit-breaker-fallback").as_deref() == Some("cache") {
            // Whoever was taken for another got the other's, but all of it.
            let is_one = |(to, bodies): (&Question, &BTreeSet<Vec<u8>>)| {
                (flight.is_marred || to == question) && bodies.contains(&reply.body)
            };
            let is_known = self.answers.iter().any(is_one);
            assert!(is_known, "another's, or torn: {question:?}, {exchange:?}");
        }
        if flight.is_marred {
            return;
        }
        assert!(reply.header("x-circuit-breaker").is_some(), "not ours to answer: {exchange:?}");
        if reply.details != "circuit_breaker_upstream_failed" {
            assert!(!exchange.is_admitted(), "it was under way: {exchange:?}");
            let opened = format!("circuit={}", question.cluster);
            let lines = self.host.logs_with(" to=open ");
            assert!(
                lines.iter().any(|line| line.contains(&opened)),
                "it never opened: {exchange:?}"
            );
            assert!(!self.is_fair || flight.may_be_rejected, "it is closed: {exchange:?}");
        }
    }

    fn damages(&self, which: &Index, damage: &Damage) {
        let keys = self.host.shared_keys();
        if keys.is_empty() {
            return;
        }
        let key = which.get(&keys);
        let mut value = self.host.shared(key).expect("it is one of the keys");
        match damage {
            Damage::Foreign(bytes) => value.clone_from(bytes),
            Damage::Cut(at) => value.truncate(at.index(value.len() + 1)),
            Damage::Flip(at, by) => {
                let at = at.index(value.len() + 1);
                value.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= by);
            }
            Damage::Another(other) => {
                value = self
                    .host
                    .shared(&keys[other.index(keys.len())])
                    .expect("it is one of the keys");
            }
            Damage::Huge => value.resize(1 << 20, 1),
        }
        self.host.put_shared(key, value);
    }

    fn holds(&self) {
        for number in 0..2 {
            let worker = self.host.worker(number);
            assert!(worker.trap().is_none() && !worker.is_dead(), "{:?}", worker.trap());
            let size = worker.memory_size();
            assert!(size <= MOST_MEMORY, "worker {number} has {size} bytes of memory");
        }
    }

    /// The host is itself again: five failures open the circuit, for every worker, and it recovers.
    pub fn clears(mut self) {
        self.host.behaves();
        for flight in std::mem::take(&mut self.flights) {
            flight.exchange.client_leaves();
        }
        let plain = config().trips_after(5).opens_for(secs(10));
        self.host.reconfigure(plain).expect("the configuration is a good one");
        self.host.drop_old();
        self.passes(hours(25));
        let keys = self.host.shared_keys();
        assert!(keys.len() <= MOST_KEYS, "{} {keys:?}", keys.len());
        self.recovers();
        for _ in 0..5 {
            assert_admitted!(self.request(0)).answered(503);
        }
        self.host.advance(millis(30));
        for worker in [0, 1] {
            assert_rejected!(self.request(worker), state = "open", circuit = "a");
        }
        self.passes(mins(5));
        self.recovers();
        self.holds();
    }

    fn recovers(&self) {
        let admitted = (0..20).find(|_| {
            let request = self.request(1);
            let is_admitted = request.is_admitted();
            if is_admitted {
                request.answered(200);
            }
            self.passes(secs(30));
            is_admitted
        });
        assert!(admitted.is_some(), "it never recovers: {:?}", self.host.logs().last());
        assert_admitted!(self.request(0)).answered(200);
        assert_admitted!(self.request(1)).answered(200);
        self.host.advance(millis(30));
    }

    fn request(&self, worker: usize) -> Exchange {
        self.host.worker(worker).send(get("/").to("a"))
    }

    fn passes(&self, time: std::time::Duration) {
        self.host.advance_without_ticks(time);
        self.host.advance(millis(50));
    }
}

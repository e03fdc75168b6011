//! No reply ever reaches somebody it was not meant for: many users, by every kind of credential, and
//! pages that differ by user, by language, by both or by neither, with other filters that rewrite
//! requests in between.

use crate::harness::prelude::*;

/// The same numbers for the same seed (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }
}

struct Asked {
    method: &'static str,
    host: &'static str,
    path: String,
    /// By header.
    credentials: Vec<(&'static str, String)>,
    language: Option<&'static str>,
}

impl Asked {
    fn any(random: &mut Random) -> Self {
        let kind = random.pick(&["public", "language", "user", "both"]);
        let mut credentials = Vec::new();
        for header in ["authorization", "cookie", "x-api-key"] {
            if random.below(3) == 0 {
                credentials.push((header, format!("{header}-{}", random.below(4))));
            }
        }
        Self {
            method: random.pick(&["GET", "GET", "GET", "HEAD"]),
            host: random.pick(&["a.example", "b.example"]),
            path: format!("/{kind}?page={}", random.below(3)),
            credentials,
            language: [None, Some("de"), Some("fr")][random.below(3) as usize],
        }
    }

    fn request(&self) -> Request {
        let mut asked = request(self.method, &self.path).header(":authority", self.host);
        for (name, value) in &self.credentials {
            asked = asked.header(name, value);
        }
        match self.language {
            Some(language) => asked.header("accept-language", language),
            None => asked,
        }
    }

    /// What the upstream says to this request, to the letter.
    fn page(&self) -> String {
        let Self { host, path, credentials, language, .. } = self;
        let kind = path.split(['/', '?']).nth(1).unwrap();
        match kind {
            "public" => format!("{host}{path}"),
            "language" => format!("{host}{path} in {language:?}"),
            "user" => format!("{host}{path} for {credentials:?}"),
            _ => format!("{host}{path} in {language:?} for {credentials:?}"),
        }
    }

    fn answer(&self) -> Ending {
        let page = answer(200).body(self.page());
        match self.path.split(['/', '?']).nth(1).unwrap() {
            "public" => page.header("cache-control", "public"),
            "language" => page.header("vary", "accept-language").header("cache-control", "public"),
            "both" => page.header("vary", "Accept-Language"),
            _ => page,
        }
    }
}

fn play(seed: u64, cache: serde_json::Value) -> u64 {
    let host = Host::with(
        config()
            .trips_after(1)
            .opens_for(secs(1))
            .multiplier(1.0)
            .fallback(json!([{ "cache": cache }])),
    )
    .workers(2);
    host.worker(1).request().answered(200);
    let mut random = Random(seed);
    for _ in 0..12 {
        for _ in 0..60 {
            let asked = Asked::any(&mut random);
            let call = host.worker(random.below(2) as usize).send(asked.request());
            if random.below(2) == 0 {
                // What another filter does after ours.
                call.request_rewritten(|headers| {
                    headers.remove("authorization");
                    headers.remove("cookie");
                    headers.set(":path", b"/rewritten");
                    headers.set("accept-language", b"en");
                });
            }
            call.ends_as(asked.answer());
        }
        host.advance(millis(100));
        host.send(get("/failing")).answered(503);
        host.tick();
        for _ in 0..60 {
            let asked = Asked::any(&mut random);
            let reply = host.worker(random.below(2) as usize).send(asked.request());
            assert!(!reply.is_admitted());
            if reply.status() == 200 && asked.method == "GET" {
                assert_eq!(reply.text(), asked.page(), "{:?}", asked.credentials);
            }
        }
        host.advance(secs(1));
        host.send(get("/probe")).answered(200);
        host.tick();
    }
    host.counter("circuit_breaker.up.fallback_cache_hit")
}

#[test]
fn no_reply_crosses_users_by_default() {
    for seed in 1..=4 {
        assert!(play(seed, json!({ "refresh_after": "0s" })) > 100);
    }
}

#[test]
fn no_reply_crosses_users_where_each_has_their_own() {
    let cache = json!({
        "refresh_after": "0s", "per_authorization": true, "vary_on": ["cookie", "x-api-key"],
    });
    for seed in 1..=4 {
        assert!(play(seed, cache.clone()) > 100);
    }
}

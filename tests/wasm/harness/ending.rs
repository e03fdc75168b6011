//! How an exchange can end: what is delivered, and what stream info says about it.

use super::headers::Headers;
use super::property::grpc_status_of;
use super::stream::{Info, Origin};

#[derive(Clone, Debug)]
pub struct Ending {
    pub(super) name: &'static str,
    pub(super) origin: Origin,
    pub(super) head: Option<Headers>,
    /// The response never passes the filter: it is in the log callback alone.
    pub(super) is_silent: bool,
    pub(super) chunks: Vec<Vec<u8>>,
    pub(super) close: Close,
    pub(super) told: Told,
    pub(super) told_in_log: Option<Told>,
}

#[derive(Clone, Debug)]
pub enum Close {
    WithHeaders,
    /// As local replies and HTTP/2 end.
    WithLastChunk,
    /// As HTTP/1 upstreams end: a body callback of size 0.
    WithEmptyChunk,
    WithTrailers(Headers),
    /// The log callback, and nothing before it.
    Cut,
}

/// What stream info says from a moment on.
#[derive(Clone, Debug)]
pub struct Told {
    pub(super) details: String,
    pub(super) flags: u64,
    pub(super) code: Option<u16>,
    pub(super) has_address: bool,
    pub(super) attempts: u64,
}

impl Told {
    /// The code is that of the headers: once they are out it stays.
    pub(super) fn tell(&self, info: &mut Info, headers_are_out: bool) {
        info.details = Some(self.details.clone());
        info.flags = self.flags;
        if !headers_are_out {
            info.code = self.code;
        }
        info.upstream_address = self.has_address.then(|| "10.0.0.1:8080".to_owned());
        info.attempts = self.attempts;
    }
}

/// An answer of the upstream, over HTTP/1, with a short body unless the status has none.
pub fn answer(status: u16) -> Ending {
    let has_body = !matches!(status, 204 | 304);
    let mut head = Headers::new([(":status", status.to_string())]);
    if has_body {
        head.add("transfer-encoding", b"chunked");
    }
    Ending {
        name: "answered",
        origin: Origin::Upstream,
        head: Some(head),
        is_silent: false,
        chunks: if has_body { vec![b"hello".to_vec()] } else { Vec::new() },
        close: if has_body { Close::WithEmptyChunk } else { Close::WithHeaders },
        told: Told {
            details: "via_upstream".to_owned(),
            flags: 0,
            code: Some(status),
            has_address: true,
            attempts: 1,
        },
        told_in_log: None,
    }
}

/// A reply Envoy, or a filter nearer to the upstream, makes itself.
pub fn local(name: &'static str, status: u16, details: &str, flags: u64) -> Ending {
    Ending { name, origin: Origin::Envoy, close: Close::WithLastChunk, ..answer(status) }
        .details(details)
        .flags(flags)
        .body(details)
}

impl Ending {
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.head.get_or_insert_default().add(name, value.as_ref());
        self
    }

    pub fn body(self, body: impl AsRef<[u8]>) -> Self {
        self.chunks([body])
    }

    pub fn json(self, json: &serde_json::Value) -> Self {
        self.header("content-type", "application/json").body(json.to_string())
    }

    pub fn chunks<C: AsRef<[u8]>>(mut self, chunks: impl IntoIterator<Item = C>) -> Self {
        self.chunks = chunks.into_iter().map(|chunk| chunk.as_ref().to_vec()).collect();
        self
    }

    pub fn trailers(mut self, trailers: Headers) -> Self {
        self.close = Close::WithTrailers(trailers);
        self
    }

    /// Over HTTP/2: the end comes with the last chunk.
    pub fn h2(mut self) -> Self {
        self.close = Close::WithLastChunk;
        self.until_closed()
    }

    /// Over HTTP/1, a body without length or chunks: it ends where the connection does.
    pub fn until_closed(mut self) -> Self {
        self.head.get_or_insert_default().remove("transfer-encoding");
        self
    }

    /// No body at all, not even an empty one.
    pub fn headers_only(mut self) -> Self {
        self.chunks.clear();
        self.close = Close::WithHeaders;
        self.until_closed()
    }

    /// After what is delivered so far, only the log callback.
    pub fn cut(mut self) -> Self {
        self.close = Close::Cut;
        self
    }

    pub fn details(mut self, details: &str) -> Self {
        self.told.details = details.to_owned();
        self
    }

    pub fn flags(mut self, flags: u64) -> Self {
        self.told.flags = flags;
        self
    }

    pub fn code(mut self, code: u16) -> Self {
        self.told.code = Some(code);
        self
    }

    pub fn attempts(mut self, attempts: u64) -> Self {
        self.told.attempts = attempts;
        self
    }

    pub fn without_address(mut self) -> Self {
        self.told.has_address = false;
        self
    }

    /// What stream info says in the log callback, where that is something else.
    pub fn in_log(mut self, details: &str, flags: u64) -> Self {
        self.told_in_log = Some(Told { details: details.to_owned(), flags, ..self.told.clone() });
        self
    }

    pub(super) fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    pub(super) fn by(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    pub(super) fn silent(mut self) -> Self {
        self.is_silent = true;
        self.cut()
    }

    pub(super) fn without_head(mut self) -> Self {
        self.head = None;
        self.chunks.clear();
        self.told.code = None;
        self.cut()
    }

    /// The answer to HEAD has no body, and what Envoy itself says to gRPC it says in gRPC.
    pub(super) fn for_request(mut self, is_head: bool, is_grpc: bool) -> Self {
        let Some(head) = &mut self.head else { return self };
        if matches!(self.close, Close::Cut) {
            return self;
        }
        if is_grpc && self.origin == Origin::Envoy && head.get("grpc-status").is_none() {
            let status = grpc_status_of(self.told.code.unwrap_or(200));
            head.set(":status", b"200");
            head.set("content-type", b"application/grpc");
            head.set("grpc-status", status.to_string().as_bytes());
            return self.headers_only();
        }
        if is_head { self.headers_only() } else { self }
    }
}

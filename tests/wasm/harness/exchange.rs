//! A request that was sent, and everything a test may do to it or ask of it.
//!
//! An exchange that is let go of stays in flight: the upstream simply never answers.

use std::fmt;

use wasmtime::{WasmParams, WasmResults};

use super::ending::{Close, Ending, Told, answer};
use super::endings;
use super::headers::Headers;
use super::reply::LocalReply;
use super::stream::{Origin, SharedStream, Stage, Stream};
use super::worker::Worker;

#[derive(Clone)]
pub struct Exchange {
    pub(super) worker: Worker,
    pub(super) stream: SharedStream,
    life: u32,
}

/// What happens to it.
impl Exchange {
    /// The upstream answers with this status and a short body.
    pub fn answered(&self, status: u16) -> Self {
        self.ends_as(answer(status))
    }

    pub fn answered_with(&self, ending: Ending) -> Self {
        self.ends_as(ending)
    }

    /// Any ending; what of it has already happened step by step is skipped.
    pub fn ends_as(&self, ending: Ending) -> Self {
        let (is_head, is_grpc) = {
            let stream = self.stream.borrow();
            (stream.method().as_deref() == Some("HEAD"), stream.is_grpc())
        };
        let ending = ending.for_request(is_head, is_grpc);
        if !self.may(ending.name, ending.origin) {
            return self.clone();
        }
        if self.stream.borrow().stage == Stage::Request {
            self.with(|stream| ending.told.tell(&mut stream.info, false));
            self.delivers(&ending);
        } else if ending.told_in_log.is_none() {
            self.with(|stream| ending.told.tell(&mut stream.info, true));
        }
        self.closes(&ending.close, ending.told_in_log.as_ref());
        self.clone()
    }

    fn delivers(&self, ending: &Ending) {
        let Some(head) = ending.head.clone() else { return };
        if ending.is_silent {
            return self.with(|stream| stream.response.value = Some(head));
        }
        self.response_headers(head, matches!(ending.close, Close::WithHeaders), ending.origin);
        let last = ending.chunks.len().saturating_sub(1);
        for (index, chunk) in ending.chunks.iter().enumerate() {
            self.response_chunk(
                chunk,
                index == last && matches!(ending.close, Close::WithLastChunk),
            );
        }
    }

    fn closes(&self, close: &Close, told: Option<&Told>) {
        match close {
            Close::WithEmptyChunk => self.response_chunk(&[], true),
            Close::WithTrailers(trailers) => self.response_trailers(trailers.clone()),
            Close::WithHeaders | Close::WithLastChunk | Close::Cut => {}
        }
        if let Some(told) = told {
            self.with(|stream| told.tell(&mut stream.info, true));
        }
        // A filter that holds the headers holds the stream, unless it is cut off.
        let hangs = self.stream.borrow().response_paused && !matches!(close, Close::Cut);
        if !hangs {
            self.finish();
        }
    }

    /// Step by step: the upstream sent headers, and nothing else so far.
    pub fn headers(&self, status: u16) -> Self {
        self.headers_of(answer(status))
    }

    pub fn headers_of(&self, ending: Ending) -> Self {
        if self.may("headers", Origin::Upstream) {
            self.with(|stream| ending.told.tell(&mut stream.info, false));
            self.response_headers(
                ending.head.expect("the answer has headers"),
                false,
                Origin::Upstream,
            );
        }
        self.clone()
    }

    pub fn chunk(&self, bytes: impl AsRef<[u8]>) -> Self {
        if self.may("chunk", Origin::Upstream) {
            self.response_chunk(bytes.as_ref(), false);
        }
        self.clone()
    }

    /// The response ends well, as in HTTP/1.
    pub fn ends(&self) -> Self {
        if self.may("ends", Origin::Upstream) {
            self.closes(&Close::WithEmptyChunk, None);
        }
        self.clone()
    }

    pub fn ends_with_trailers(&self, trailers: Headers) -> Self {
        if self.may("ends_with_trailers", Origin::Upstream) {
            self.closes(&Close::WithTrailers(trailers), None);
        }
        self.clone()
    }

    /// The client sends a piece of a body announced with [`body_to_come`](super::request::Request::body_to_come).
    pub fn sends(&self, chunk: impl AsRef<[u8]>, end: bool) -> Self {
        self.request_body(chunk.as_ref(), end);
        self.clone()
    }

    /// The client ends its body with trailers.
    pub fn sends_trailers(&self) -> Self {
        self.request_trailers();
        self.clone()
    }

    /// Another filter or the route table sent it elsewhere after the filter had seen it.
    pub fn rerouted(&self, cluster: &str) -> Self {
        self.with(|stream| stream.info.cluster = Some(cluster.to_owned()));
        self.clone()
    }

    /// Later filters rewrite what the log callback will see of the request.
    pub fn request_rewritten(&self, change: impl FnOnce(&mut Headers)) -> Self {
        self.with(|stream| change(stream.request.value.as_mut().expect("a request has headers")));
        self.clone()
    }

    pub fn reset_before_headers(&self, reason: &str) -> Self {
        self.ends_as(endings::reset_before_headers(reason))
    }

    pub fn truncated(&self) -> Self {
        self.ends_as(endings::closes_mid_body())
    }

    pub fn times_out(&self) -> Self {
        self.ends_as(endings::route_timeout())
    }

    /// Leaves before the response, or in the middle of it.
    pub fn client_leaves(&self) -> Self {
        self.ends_as(endings::client_leaves())
    }
}

/// What became of it.
impl Exchange {
    /// The filter let it pass to the upstream, and did not answer it itself at once.
    pub fn is_admitted(&self) -> bool {
        let stream = self.stream.borrow();
        stream.admitted && stream.lost.is_none()
    }

    /// The filter holds it: no answer, and no way on.
    pub fn is_paused(&self) -> bool {
        self.stream.borrow().request_paused
    }

    pub fn is_over(&self) -> bool {
        self.stream.borrow().stage == Stage::Over
    }

    /// Its VM died under it.
    pub fn is_lost(&self) -> bool {
        self.stream.borrow().lost.is_some()
    }

    /// What the guest trapped on while it held this stream.
    pub fn trap(&self) -> Option<String> {
        self.worker.core.trap_is_seen();
        self.stream.borrow().lost.clone()
    }

    pub fn origin(&self) -> Option<Origin> {
        self.stream.borrow().origin
    }

    /// The reply as the filter gave it to the host.
    pub fn local_reply(&self) -> Option<LocalReply> {
        self.stream.borrow().local_reply.clone()
    }

    /// How often the filter answered it: more than once is a mistake.
    pub fn local_replies(&self) -> u32 {
        self.stream.borrow().local_replies
    }

    /// The status the client got.
    pub fn status(&self) -> u16 {
        let status = self.reply_headers().and_then(|headers| headers.text(":status"));
        let status = status.unwrap_or_else(|| panic!("no response: {self:?}"));
        status.parse().expect("a status is a number")
    }

    pub fn reply_headers(&self) -> Option<Headers> {
        self.stream.borrow().response.value.clone()
    }

    /// A header of the response the client got.
    pub fn header(&self, name: &str) -> Option<String> {
        self.reply_headers()?.text(name)
    }

    pub fn body(&self) -> Vec<u8> {
        self.stream.borrow().sent_downstream.clone()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body()).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body())
            .unwrap_or_else(|error| panic!("no JSON, {error}: {:?}", self.text()))
    }

    /// `%RESPONSE_CODE_DETAILS%` as the access log shows it.
    pub fn details(&self) -> Option<String> {
        self.stream.borrow().info.details.clone()
    }

    /// `%FILTER_STATE(wasm.<key>:PLAIN)%` as the access log shows it.
    pub fn filter_state(&self, key: &str) -> Option<String> {
        let stream = self.stream.borrow();
        let value = stream.filter_state.get(key.as_bytes())?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// Every key the filter stored, NULs of several segments included.
    pub fn filter_state_keys(&self) -> Vec<String> {
        let stream = self.stream.borrow();
        stream.filter_state.keys().map(|key| String::from_utf8_lossy(key).into_owned()).collect()
    }

    /// The request as the upstream gets it.
    pub fn request_headers(&self) -> Headers {
        self.stream.borrow().request.value.clone().unwrap_or_default()
    }

    pub fn request_header(&self, name: &str) -> Option<String> {
        self.request_headers().text(name)
    }

    pub fn sent_upstream(&self) -> Vec<u8> {
        self.stream.borrow().sent_upstream.clone()
    }

    pub fn cluster(&self) -> Option<String> {
        self.stream.borrow().info.cluster.clone()
    }

    /// How often the filter made Envoy look for a route again.
    pub fn route_clears(&self) -> u32 {
        self.stream.borrow().route_clears
    }

    pub fn is_grpc(&self) -> bool {
        self.stream.borrow().is_grpc()
    }

    pub fn worker(&self) -> &Worker {
        &self.worker
    }
}

impl Exchange {
    pub(super) fn of(worker: &Worker, stream: SharedStream) -> Self {
        Self { worker: worker.clone(), stream, life: worker.core.lives() }
    }

    pub(super) fn id(&self) -> u32 {
        self.stream.borrow().id
    }

    pub(super) fn with<T>(&self, f: impl FnOnce(&mut Stream) -> T) -> T {
        f(&mut self.stream.borrow_mut())
    }

    pub(super) fn call<P: WasmParams, R: WasmResults>(
        &self,
        callback: &str,
        arguments: P,
    ) -> Option<R> {
        if !self.is_reachable() {
            return None;
        }
        self.worker.core.enter(self.id(), callback, arguments).ok().flatten()
    }

    /// A callback that may hold the stream. One the guest does not have holds nothing.
    pub(super) fn passes<P: WasmParams>(&self, callback: &str, arguments: P) -> bool {
        const CONTINUE: u32 = 0;
        let action = self.call(callback, arguments);
        action == Some(CONTINUE) || (action.is_none() && self.is_reachable())
    }

    /// The VM that holds the stream still runs.
    pub(super) fn is_reachable(&self) -> bool {
        !self.is_lost() && self.life == self.worker.core.lives()
    }

    /// Whether the world outside can still do this to the stream. Doing the impossible is a mistake of the test.
    fn may(&self, what: &str, by: Origin) -> bool {
        let (stage, admitted, origin) = {
            let stream = self.stream.borrow();
            (stream.stage, stream.admitted, stream.origin)
        };
        if self.is_lost() {
            return false;
        }
        // The rest of a response that the filter replaced goes nowhere.
        if stage == Stage::Over && admitted && origin == Some(Origin::Filter) {
            return false;
        }
        assert!(stage != Stage::Over, "`{what}`, but it is over already: {self:?}");
        assert!(
            admitted || by != Origin::Upstream,
            "`{what}`, but the upstream never saw the request: {self:?}"
        );
        true
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stream = self.stream.borrow();
        let request = stream.request.value.clone().unwrap_or_default();
        let part = |name| request.text(name).unwrap_or_default();
        write!(
            f,
            "{} {} to {:?} on {:?}",
            part(":method"),
            part(":path"),
            stream.info.cluster,
            self.worker
        )?;
        match (&stream.lost, stream.stage) {
            (Some(why), _) => write!(f, ", lost with its VM: {why}")?,
            (None, Stage::Request) if stream.request_paused => {
                f.write_str(", paused by the filter")?
            }
            (None, Stage::Request) => f.write_str(", waiting for an answer")?,
            (None, stage) => write!(f, ", answered by {:?}, {stage:?}", stream.origin)?,
        }
        if let Some(headers) = &stream.response.value {
            write!(
                f,
                ", details {:?}\n  {headers:?}\n  {:?}",
                stream.info.details,
                String::from_utf8_lossy(&stream.sent_downstream)
            )?;
        }
        Ok(())
    }
}

//! The host's side of a stream: the callbacks in the order in which Envoy makes them.
//!
//! No borrow of a stream is held while the guest runs: the guest's hostcalls need it.

use super::exchange::Exchange;
use super::headers::Headers;
use super::reply::LocalReply;
use super::request::{Body, Request};
use super::stream::{Lent, Origin, Stage, Stream};
use super::vm::Context;
use super::worker::Worker;

impl Exchange {
    pub(super) fn begin(worker: &Worker, root: u32, request: Request) -> Self {
        let complete = matches!(request.body, Body::None);
        let exchange = Self::create(worker, root, &request);
        exchange.stream.borrow_mut().request.lend(request.headers.clone());
        if !exchange.create_context() {
            return exchange;
        }
        let arguments = (exchange.id(), request.headers.len(), u32::from(complete));
        let passes = exchange.passes("proxy_on_request_headers", arguments);
        exchange.with(|stream| {
            if passes && stream.stage == Stage::Request {
                stream.admitted = true;
                stream.request.visible = false;
            } else if stream.stage == Stage::Request && !stream.admitted {
                stream.request_paused = true;
            }
            stream.request_complete = complete;
            stream.settle_route();
        });
        if let Body::Whole(body) = request.body {
            exchange.request_body(&body, true);
        }
        exchange
    }

    /// The context of a stream whose headers the filter never saw. It exists for the log callback.
    pub(super) fn unseen(worker: &Worker, root: u32, request: &Request) -> Self {
        let exchange = Self::create(worker, root, request);
        // What can be read in the log callback alone.
        exchange.stream.borrow_mut().request =
            Lent { value: Some(request.headers.clone()), visible: false };
        exchange.create_context();
        exchange
    }

    fn create(worker: &Worker, root: u32, request: &Request) -> Self {
        let mut stream =
            Stream { root, reroutes_to: request.reroutes_to.clone(), ..Stream::default() };
        stream.original_request = request.headers.clone();
        stream.info.cluster = request.cluster.clone();
        stream.info.custom = request.properties.clone();
        Self::of(worker, std::rc::Rc::new(std::cell::RefCell::new(stream)))
    }

    fn create_context(&self) -> bool {
        let stream = self.stream.clone();
        let id =
            self.worker.core.with_state(|state| state.new_context(|_| Context::Stream(stream)));
        let Ok(id) = id else {
            let why = self.worker.core.why_dead();
            self.stream.borrow_mut().lost = why;
            return false;
        };
        self.stream.borrow_mut().id = id;
        let root = self.stream.borrow().root;
        self.call::<_, ()>("proxy_on_context_create", (id, root));
        self.is_reachable()
    }

    pub(super) fn request_body(&self, chunk: &[u8], end: bool) {
        let deliver = self.with(|stream| {
            stream.request_complete |= end;
            // A filter that pauses at headers does not get the body, unless the plugin asks for it.
            let held =
                stream.request_paused && !self.worker.core.plugins.allow_on_headers_stop_iteration;
            stream.held_request.extend(chunk);
            !held && stream.stage == Stage::Request
        });
        if !deliver || !self.is_reachable() {
            return;
        }
        let buffer = self.with(|stream| std::mem::take(&mut stream.held_request));
        let size = buffer.len() as u32;
        self.with(|stream| stream.request_body = Some(buffer));
        let passes = self.passes("proxy_on_request_body", (self.id(), size, u32::from(end)));
        self.with(|stream| {
            let buffer = stream.request_body.take().unwrap_or_default();
            if passes && stream.stage == Stage::Request {
                stream.sent_upstream.extend(buffer);
                if stream.request_paused {
                    stream.release_request();
                    stream.settle_route();
                }
            } else {
                stream.held_request = buffer; // the next chunk comes on top of what is held
            }
        });
    }

    pub(super) fn request_trailers(&self) {
        let deliver = self.with(|stream| {
            stream.request_complete = true;
            let held =
                stream.request_paused && !self.worker.core.plugins.allow_on_headers_stop_iteration;
            stream.request_trailers.lend(Headers::default());
            !held && stream.stage == Stage::Request
        });
        if deliver
            && self.is_reachable()
            && self.passes("proxy_on_request_trailers", (self.id(), 0u32))
        {
            self.resume_request();
        }
    }

    pub(super) fn resume_request(&self) {
        self.with(|stream| {
            if stream.stage == Stage::Request {
                stream.release_request();
                stream.settle_route();
                let held = std::mem::take(&mut stream.held_request);
                stream.sent_upstream.extend(held);
            }
        });
    }

    /// Response headers, from wherever.
    pub(super) fn response_headers(&self, headers: Headers, end: bool, origin: Origin) {
        let count = headers.len();
        self.with(|stream| {
            stream.stage = Stage::ResponseHeaders;
            stream.origin = Some(origin);
            stream.original_response = headers.clone();
            stream.response.lend(headers);
        });
        let passes = self.passes("proxy_on_response_headers", (self.id(), count, u32::from(end)));
        self.with(|stream| {
            if stream.stage == Stage::ResponseHeaders {
                stream.response_paused = !passes;
                if !stream.response_paused {
                    stream.release_response();
                }
            }
        });
    }

    pub(super) fn response_chunk(&self, chunk: &[u8], end: bool) {
        if self.is_over() || !self.is_reachable() || self.response_is_held() {
            return;
        }
        let mut buffer = self.with(|stream| std::mem::take(&mut stream.held_response));
        buffer.extend(chunk);
        let size = buffer.len() as u32;
        self.with(|stream| stream.response_body = Some(buffer));
        let passes = self.passes("proxy_on_response_body", (self.id(), size, u32::from(end)));
        self.with(|stream| {
            let buffer = stream.response_body.take().unwrap_or_default();
            if passes {
                stream.sent_downstream.extend(buffer);
                if stream.response_paused {
                    stream.release_response();
                }
            } else {
                stream.held_response = buffer;
            }
        });
    }

    pub(super) fn response_trailers(&self, trailers: Headers) {
        if self.is_over() || !self.is_reachable() || self.response_is_held() {
            return;
        }
        let count = trailers.len();
        self.with(|stream| stream.response_trailers.lend(trailers));
        let passes = self.passes("proxy_on_response_trailers", (self.id(), count));
        self.with(|stream| stream.response_trailers.visible = !passes);
    }

    pub(super) fn resume_response(&self) {
        self.with(|stream| {
            if stream.stage == Stage::ResponseHeaders {
                stream.release_response();
            }
            let held = std::mem::take(&mut stream.held_response);
            stream.sent_downstream.extend(held);
        });
    }

    /// By default a filter that pauses at response headers never sees the body, and the client waits.
    fn response_is_held(&self) -> bool {
        self.stream.borrow().response_paused
            && !self.worker.core.plugins.allow_on_headers_stop_iteration
    }

    /// A reply by the filter. Where it comes in decides how much of it there is.
    pub(super) fn reply_locally(&self, reply: LocalReply) {
        let stage = self.stream.borrow().stage;
        if stage == Stage::Over || !self.is_reachable() {
            return;
        }
        self.with(|stream| {
            stream.info.details = Some(reply.shown_details());
            stream.local_reply = Some(reply.clone());
        });
        match stage {
            Stage::Request => self.reply_to_request(&reply),
            Stage::ResponseHeaders => self.replace_response(&reply),
            // Headers are out: all Envoy can do is to reset the connection.
            Stage::ResponseStarted | Stage::Over => self.finish(),
        }
    }

    /// It passes through the filter's own response callbacks.
    fn reply_to_request(&self, reply: &LocalReply) {
        let (headers, body) = self.encode(reply);
        self.with(|stream| {
            stream.info.code = Some(reply.status);
            stream.request_paused = false;
        });
        self.response_headers(headers, body.is_empty(), Origin::Filter);
        if !body.is_empty() {
            self.response_chunk(&body, true);
        }
        self.finish();
    }

    /// In place of the upstream's: no response callback runs any more, in any filter.
    fn replace_response(&self, reply: &LocalReply) {
        let (headers, body) = self.encode(reply);
        self.with(|stream| {
            stream.info.code = Some(reply.status);
            stream.origin = Some(Origin::Filter);
            stream.response.value = Some(headers);
            stream.response.visible = false;
            stream.sent_downstream = body;
        });
        self.finish();
    }

    fn encode(&self, reply: &LocalReply) -> (Headers, Vec<u8>) {
        let stream = self.stream.borrow();
        if stream.is_grpc() {
            return (reply.as_grpc(), Vec::new());
        }
        reply.as_http(stream.method().as_deref() == Some("HEAD"))
    }

    pub(super) fn closed_by_filter(&self) {
        if self.stream.borrow().stage != Stage::Over {
            self.finish();
        }
    }

    /// The log callback, then done and delete.
    pub(super) fn finish(&self) {
        if !self.is_reachable() || self.stream.borrow().stage == Stage::Over {
            return;
        }
        self.with(|stream| {
            stream.stage = Stage::Over;
            stream.logging = true;
            if stream.is_grpc() && stream.response.value.is_some() {
                stream.info.code = Some(200); // in the log it is the status on the wire
            }
        });
        self.call::<_, ()>("proxy_on_log", self.id());
        self.with(|stream| stream.logging = false);
        let id = self.id();
        self.worker.core.cancel_calls(|context| context == id);
        // A guest that is not done says so later; until then the context stays.
        if self.call("proxy_on_done", id) != Some(0u32) {
            self.worker.core.delete(id);
        }
    }
}

//! One HTTP stream as the host sees it, and what of it the guest may see in which callback.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::headers::Headers;
use super::reply::LocalReply;

pub type SharedStream = Rc<RefCell<Stream>>;

/// A map that Envoy hands to the filter for one callback, and takes back once the filter lets it pass.
#[derive(Debug, Default)]
pub struct Lent<T> {
    pub value: Option<T>,
    pub visible: bool,
}

impl<T> Lent<T> {
    pub fn lend(&mut self, value: T) {
        self.value = Some(value);
        self.visible = true;
    }
}

/// Who made the answer the client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Upstream,
    Envoy,
    Filter,
}

/// What stream info says: the source of the `response.*`, `upstream.*` and `xds.*` properties.
#[derive(Clone, Debug, Default)]
pub struct Info {
    pub cluster: Option<String>,
    pub code: Option<u16>,
    pub details: Option<String>,
    pub flags: u64,
    pub upstream_address: Option<String>,
    pub attempts: u64,
    pub custom: BTreeMap<Vec<u8>, Vec<u8>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    #[default]
    Request,
    /// In the response headers callback, or held there by the filter.
    ResponseHeaders,
    /// The client has the headers.
    ResponseStarted,
    Over,
}

#[derive(Debug, Default)]
pub struct Stream {
    pub id: u32,
    pub root: u32,
    pub request: Lent<Headers>,
    pub request_trailers: Lent<Headers>,
    pub response: Lent<Headers>,
    pub response_trailers: Lent<Headers>,
    /// As the client sent them, and as the filter was given them.
    pub original_request: Headers,
    pub original_response: Headers,
    pub request_body: Option<Vec<u8>>,
    pub response_body: Option<Vec<u8>>,
    pub info: Info,
    pub logging: bool,
    pub filter_state: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The filter let the request headers pass: the request is on its way to the upstream.
    pub admitted: bool,
    pub request_paused: bool,
    pub response_paused: bool,
    pub route_clears: u32,
    pub reroutes_to: Option<String>,
    pub held_request: Vec<u8>,
    pub held_response: Vec<u8>,
    pub sent_upstream: Vec<u8>,
    pub sent_downstream: Vec<u8>,
    pub origin: Option<Origin>,
    pub local_reply: Option<LocalReply>,
    /// How many the filter gave: the client gets one.
    pub local_replies: u32,
    pub request_complete: bool,
    pub stage: Stage,
    /// Why its VM is gone, and the stream with it.
    pub lost: Option<String>,
}

impl Stream {
    /// The map a guest may read. `None` is a map that this callback does not have.
    pub fn readable(&self, map: u32) -> Option<&Headers> {
        let (lent, in_log) = match map {
            0 => (&self.request, true),
            1 => (&self.request_trailers, false),
            2 => (&self.response, true),
            3 => (&self.response_trailers, true),
            _ => return None,
        };
        let readable = if self.logging { in_log } else { lent.visible };
        lent.value.as_ref().filter(|_| readable)
    }

    /// The map a guest may change. Even where a map can be read in the log callback it cannot be changed there.
    pub fn writable(&mut self, map: u32) -> Option<&mut Headers> {
        let lent = match map {
            0 => &mut self.request,
            1 => &mut self.request_trailers,
            2 => &mut self.response,
            3 => &mut self.response_trailers,
            _ => return None,
        };
        let visible = lent.visible;
        lent.value.as_mut().filter(|_| visible)
    }

    pub fn body(&mut self, buffer: u32) -> Option<&mut Vec<u8>> {
        match buffer {
            0 => self.request_body.as_mut(),
            1 => self.response_body.as_mut(),
            _ => None,
        }
    }

    pub fn release_request(&mut self) {
        self.request_paused = false;
        self.admitted = true;
        self.request.visible = false;
    }

    pub fn release_response(&mut self) {
        self.response_paused = false;
        self.stage = Stage::ResponseStarted;
        self.response.visible = false;
    }

    /// A cleared route cache is looked at again once the callback is over: until then the old cluster is what is read.
    pub fn settle_route(&mut self) {
        if self.route_clears > 0
            && let Some(cluster) = self.reroutes_to.take()
        {
            self.info.cluster = Some(cluster);
        }
    }

    pub fn is_grpc(&self) -> bool {
        let content_type =
            self.request.value.as_ref().and_then(|headers| headers.text("content-type"));
        content_type
            .is_some_and(|kind| kind == "application/grpc" || kind.starts_with("application/grpc+"))
    }

    pub fn method(&self) -> Option<String> {
        self.request.value.as_ref()?.text(":method")
    }
}

//! One request on its way through the filter.

use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use super::fall_back::Replaced;
use super::keep::Keeping;
use super::restore::restore;
use super::root::{SharedPanel, log_events};
use super::wait::Waiting;
use crate::breaker::Pace;
use crate::classify::{self, CLIENT_HEADERS, ClientDeadlines, GRPC_HEADER, GrpcStatus};
use crate::config::CircuitPolicy;
use crate::host::Host;
use crate::panel::{Admitted, FlightKey, Ticket};
use crate::reply::Reply;
use crate::time::Timestamp;

/// What is to be done with a request.
#[derive(Debug)]
pub(super) enum Step {
    Pass,
    Answer(Rc<Reply>),
    /// It is held until its body is there.
    Wait,
}

#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) host: Host,
    pub(super) panel: Option<SharedPanel>,
    /// What there is to settle: none before the request, for a request without a circuit, and for
    /// one that we answered ourselves.
    guarded: Option<(Ticket, Rc<CircuitPolicy>)>,
    /// Whether the client has sent all of the request, and when where that was after its headers.
    pub(super) is_sent: bool,
    pub(super) sent_at: Option<Timestamp>,
    /// The deadlines the client set, where the request's headers were looked at.
    pub(super) deadlines: Option<ClientDeadlines>,
    /// The wait for response headers, where slow calls count.
    pub(super) flight: Option<FlightKey>,
    pub(super) pace: Pace,
    pub(super) status: Option<u16>,
    pub(super) is_grpc: bool,
    /// From trailers, or the headers of a response that has nothing else.
    pub(super) grpc_status: Option<GrpcStatus>,
    pub(super) is_complete: bool,
    pub(super) replaced: Option<Replaced>,
    /// What is being kept of the exchange for the cache.
    pub(super) keeping: Option<Box<Keeping>>,
    pub(super) waiting: Option<Box<Waiting>>,
    pub(super) has_waited: bool,
    /// Whether the host holds a part of its body that it would send twice: see [`Waiting`].
    pub(super) is_held_up: bool,
    /// A cached reply that is on its way: its headers are to arrive as they are in it.
    pub(super) replayed: Option<Rc<Reply>>,
    /// Whether it was sent to another circuit's cluster.
    pub(super) is_rerouted: bool,
}

impl Exchange {
    pub(super) const fn new(host: Host, panel: Option<SharedPanel>) -> Self {
        Self {
            host,
            panel,
            guarded: None,
            is_sent: false,
            sent_at: None,
            deadlines: None,
            flight: None,
            pace: Pace::Fast,
            status: None,
            is_grpc: false,
            grpc_status: None,
            is_complete: false,
            replaced: None,
            keeping: None,
            waiting: None,
            has_waited: false,
            is_held_up: false,
            replayed: None,
            is_rerouted: false,
        }
    }

    fn begin(&mut self, panel: &SharedPanel) -> Step {
        if let Some(reply) = self.ask_status(panel, true) {
            return Step::Answer(reply.into());
        }
        let Some(cluster) = self.host.cluster_name() else {
            return self
                .ask_status(panel, false)
                .map_or(Step::Pass, |reply| Step::Answer(reply.into()));
        };
        let method = || self.host.request_header(":method");
        let admitted = panel.borrow_mut().admit(&cluster, self.is_sent, method);
        log_events(panel);
        match admitted {
            Admitted::Unguarded => Step::Pass,
            Admitted::Passed(ticket, policy) => {
                if ticket.is_probe() {
                    self.host.set_filter_state("probe");
                } else if ticket.is_spectator() {
                    self.host.set_filter_state("would_reject");
                }
                self.pass(panel, ticket, policy);
                Step::Pass
            }
            Admitted::Rejected(rejected) => self.fall_back(panel, rejected, 0),
        }
    }

    pub(super) fn take(&mut self, step: Step) -> Action {
        match step {
            Step::Wait => Action::Pause,
            Step::Answer(reply) if self.host.send(&reply) => Action::Pause,
            // Where the host refuses to send the reply the request must not hang: it passes.
            Step::Answer(_) | Step::Pass => {
                self.replayed = None;
                Action::Continue
            }
        }
    }

    /// The request is on its way to the cluster of this ticket.
    pub(super) fn pass(&mut self, panel: &SharedPanel, ticket: Ticket, policy: Rc<CircuitPolicy>) {
        self.note_protocol(panel, &ticket, &policy);
        self.note_deadlines(panel, &ticket);
        self.keep_request(panel, &ticket, &policy);
        if self.is_sent {
            self.await_headers(panel, &ticket, &policy);
        }
        self.guarded = Some((ticket, policy));
    }

    /// Reading a header costs a call, so a circuit's protocol is learnt from its first request.
    fn note_protocol(&mut self, panel: &SharedPanel, ticket: &Ticket, policy: &CircuitPolicy) {
        // Where a failure may be replaced each request is asked: the response does not tell.
        if panel.borrow().may_speak_grpc(ticket) || policy.replaces_failures() {
            let is_grpc = self.is_grpc_request();
            panel.borrow_mut().note_protocol(ticket, is_grpc);
            self.is_grpc = is_grpc;
        }
    }

    pub(super) fn is_grpc_request(&self) -> bool {
        self.host.request_header("content-type").is_some_and(|value| is_grpc(&value))
    }

    /// The headers are gone when the call has ended, so they are read now if they may matter.
    fn note_deadlines(&mut self, panel: &SharedPanel, ticket: &Ticket) {
        if !panel.borrow_mut().deadlines(ticket).is_some_and(|known| known.takes_look()) {
            return;
        }
        let header = |name| classify::millis(&self.host.request_header(name)?);
        let grpc = self.host.request_header(GRPC_HEADER);
        let grpc = grpc.and_then(|value| classify::grpc_timeout(&value));
        self.deadlines = Some(ClientDeadlines::new(CLIENT_HEADERS.map(header), grpc));
    }

    fn await_headers(&mut self, panel: &SharedPanel, ticket: &Ticket, policy: &CircuitPolicy) {
        if let Some(slow_after) = policy.classify.slow_after
            && !ticket.is_spectator()
        {
            self.flight = Some(panel.borrow_mut().await_headers(ticket, slow_after));
        }
    }

    /// The client has sent all of the request, later than its headers.
    fn request_sent(&mut self) {
        if self.is_sent {
            return;
        }
        self.is_sent = true;
        self.request_kept();
        let (Some(panel), Some((ticket, policy))) = (self.panel.clone(), self.guarded.clone())
        else {
            return;
        };
        self.sent_at = Some(panel.borrow().about_now());
        if self.status.is_none() {
            self.await_headers(&panel, &ticket, &policy);
        }
        if ticket.is_probe() {
            panel.borrow_mut().request_sent(&ticket);
        }
    }

    /// `Some`: a reply in place of the response.
    fn headers_arrived(
        &mut self,
        panel: &SharedPanel,
        (ticket, policy): &(Ticket, Rc<CircuitPolicy>),
    ) -> Option<Reply> {
        let status = self.host.response_header(":status");
        self.status = status.as_deref().and_then(three_digits);
        self.take_pace(panel, ticket, policy);
        if self.is_complete {
            if self.status == Some(200) {
                self.take_grpc_status(self.host.response_header("grpc-status"));
            }
        } else if ticket.is_probe()
            && let Some(status) = self.status
            && policy.classify.are_good_headers(status, &self.host.code_details())
            && let Some((ticket, _)) = &mut self.guarded
        {
            let served_by = self.host.cluster_name();
            panel.borrow_mut().headers_arrived(ticket, served_by.as_deref());
        }
        let reply = self.fail_over(panel, ticket, policy);
        if reply.is_none() {
            self.keep_headers(panel, policy);
        }
        reply
    }

    fn take_grpc_status(&mut self, value: Option<Vec<u8>>) {
        self.grpc_status = value.map(|value| GrpcStatus::from_header(&value));
    }
}

impl Context for Exchange {}

impl HttpContext for Exchange {
    fn on_http_request_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        let Some(panel) = self.panel.clone() else {
            return Action::Continue;
        };
        self.is_sent = end_of_stream;
        let step = self.begin(&panel);
        self.take(step)
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        self.keep_request_chunk(size);
        if end_of_stream {
            self.request_sent();
        }
        self.body_held(size)
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        self.request_sent();
        self.body_held(0)
    }

    fn on_http_response_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        if let Some(reply) = self.replayed.take() {
            restore(self.host, &reply.headers);
            return Action::Continue;
        }
        if let Some(waiting) = self.waiting.take() {
            return self.wait_cut_short(*waiting);
        }
        let (Some(panel), Some(guarded)) = (self.panel.clone(), self.guarded.clone()) else {
            return Action::Continue;
        };
        self.is_complete = end_of_stream;
        match self.headers_arrived(&panel, &guarded) {
            Some(reply) if self.host.send(&reply) => {
                self.is_complete = true;
                Action::Pause
            }
            _ => {
                self.replaced = None;
                Action::Continue
            }
        }
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        self.is_complete |= end_of_stream;
        self.keep_chunk(size);
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        if self.guarded.is_some() {
            self.is_complete = true;
            self.keep_trailers();
            self.take_grpc_status(self.host.response_trailer("grpc-status"));
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        if let (Some(panel), Some((ticket, policy))) = (self.panel.clone(), self.guarded.take()) {
            self.settle(&panel, &ticket, &policy);
            log_events(&panel);
        }
    }
}

/// A status, as HTTP writes it (RFC 9110, 15).
fn three_digits(text: &[u8]) -> Option<u16> {
    let &[a, b, c] = text else { return None };
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
    Some(100 * digit(a)? + 10 * digit(b)? + digit(c)?)
}

/// gRPC-Web is not: it has its status in the body.
pub(super) fn is_grpc(content_type: &[u8]) -> bool {
    content_type
        .strip_prefix(b"application/grpc")
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

//! One request on its way through the filter.

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use super::root::{SharedPanel, log_events};
use crate::breaker::Outcome;
use crate::classify::{self, Classified, Ending, Grpc};
use crate::events::Word;
use crate::host::Host;
use crate::panel::{Admitted, Ticket};
use crate::reply::{self, Reply};
use crate::status::{self, Asked};

#[derive(Debug)]
pub(super) struct Exchange {
    host: Host,
    panel: Option<SharedPanel>,
    /// What there is to settle: none before the request, for a request without a circuit, and for
    /// one that we answered ourselves.
    ticket: Option<Ticket>,
    status: Option<u16>,
    is_grpc: bool,
    /// From trailers, or the headers of a response that has nothing else.
    grpc_status: Option<u32>,
    is_complete: bool,
}

impl Exchange {
    pub(super) const fn new(host: Host, panel: Option<SharedPanel>) -> Self {
        Self {
            host,
            panel,
            ticket: None,
            status: None,
            is_grpc: false,
            grpc_status: None,
            is_complete: false,
        }
    }

    fn begin(&mut self, panel: &SharedPanel) -> Option<Reply> {
        if let Some(reply) = self.ask_status(panel, true) {
            return Some(reply);
        }
        let Some(cluster) = self.host.cluster_name() else {
            return self.ask_status(panel, false);
        };
        let admitted = panel.borrow_mut().admit(&cluster);
        log_events(panel);
        match admitted {
            Admitted::Unguarded => None,
            Admitted::Passed(ticket) => {
                if ticket.is_probe() {
                    self.host.set_filter_state("probe");
                }
                self.ticket = Some(ticket);
                self.note_protocol(panel, &ticket);
                None
            }
            Admitted::Rejected { circuit, policy, rejection } => {
                self.host.set_filter_state("rejected");
                Some(reply::reject(&circuit, &policy.reject, &rejection, self.is_grpc_request()))
            }
        }
    }

    /// Reading a header costs a call, so a circuit's protocol is learnt from its first request.
    fn note_protocol(&mut self, panel: &SharedPanel, ticket: &Ticket) {
        if panel.borrow().may_speak_grpc(ticket) {
            let is_grpc = self.is_grpc_request();
            panel.borrow_mut().note_protocol(ticket, is_grpc);
            self.is_grpc = is_grpc;
        }
    }

    fn is_grpc_request(&self) -> bool {
        self.host.request_header("content-type").is_some_and(|value| is_grpc(&value))
    }

    /// The status, where it is on and asked for: of requests without a cluster, or of all.
    fn ask_status(&self, panel: &SharedPanel, has_cluster: bool) -> Option<Reply> {
        let mut panel = panel.borrow_mut();
        let config = panel.config().status.as_ref()?;
        if config.everywhere != has_cluster {
            return None;
        }
        let path = self.host.request_header(":path")?;
        let asked = status::asked(&config.path, &String::from_utf8_lossy(&path))?;
        let wall = self.host.wall();
        Some(match self.host.request_header(":method").as_deref() {
            Some(b"GET" | b"HEAD") => match asked {
                Asked::All => status::all(panel.views(), wall),
                Asked::One(name) => status::one(&name, panel.view(&name), wall),
            },
            _ => status::method_not_allowed(),
        })
    }

    /// A status that is no number is UNKNOWN.
    fn take_grpc_status(&mut self, value: Option<Vec<u8>>) {
        const UNKNOWN: u32 = 2;
        self.grpc_status = value.map(|value| {
            str::from_utf8(&value)
                .ok()
                .and_then(|value| value.trim().parse().ok())
                .unwrap_or(UNKNOWN)
        });
    }

    /// Whether the call was gRPC. Where that was not known at its request, a `grpc-status` raises
    /// the question, and the response headers, which can be read again in the log, answer it.
    fn grpc(&self, panel: &SharedPanel, ticket: &Ticket) -> Grpc {
        if !self.is_grpc {
            let is_response_grpc = self.grpc_status.is_some()
                && self.host.response_header("content-type").is_some_and(|value| is_grpc(&value));
            if !is_response_grpc {
                return Grpc::No;
            }
            panel.borrow_mut().note_protocol(ticket, true);
        }
        Grpc::Status(self.grpc_status)
    }

    fn settle(&self, panel: &SharedPanel, ticket: &Ticket) {
        let grpc = self.grpc(panel, ticket);
        let is_plain =
            !ticket.is_probe() && classify::is_plain_success(self.status, grpc, self.is_complete);
        if is_plain {
            let may_move = panel.borrow().may_move(ticket);
            let served_by = may_move.then(|| self.host.cluster_name()).flatten();
            return panel.borrow_mut().settle(ticket, Outcome::Success, served_by.as_deref());
        }
        let details = self.host.code_details();
        let ending = Ending {
            status: self.status,
            grpc,
            is_complete: self.is_complete,
            details: &details,
            is_rejected_upstream: self.host.response_header("x-circuit-breaker").is_some(),
        };
        let served_by = self.host.cluster_name();
        let Classified { outcome, why } = classify::classify(&ending);
        if outcome != Outcome::Success && self.host.logs_debug() {
            log::debug!(
                "circuit breaker {} cluster={} status={} details={} reason=\"{why}\"",
                if outcome == Outcome::Ignored { "ignored" } else { "failure" },
                Word(&String::from_utf8_lossy(served_by.as_deref().unwrap_or_default())),
                self.status.unwrap_or_default(),
                Word(&details),
            );
        }
        panel.borrow_mut().settle(ticket, outcome, served_by.as_deref());
    }
}

impl Context for Exchange {}

impl HttpContext for Exchange {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let Some(panel) = self.panel.clone() else {
            return Action::Continue;
        };
        match self.begin(&panel) {
            Some(reply) if self.host.send(&reply) => Action::Pause,
            // Where the host refuses to send the reply the request must not hang: it passes.
            _ => Action::Continue,
        }
    }

    fn on_http_response_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        let Some(ticket) = self.ticket else {
            return Action::Continue;
        };
        let status = self.host.response_header(":status");
        self.status = status.as_deref().and_then(|value| str::from_utf8(value).ok()?.parse().ok());
        self.is_complete = end_of_stream;
        if end_of_stream && self.status == Some(200) {
            self.take_grpc_status(self.host.response_header("grpc-status"));
        }
        if let (true, false, Some(status), Some(panel)) =
            (ticket.is_probe(), end_of_stream, self.status, &self.panel)
            && classify::are_good_headers(status, &self.host.code_details())
        {
            let served_by = self.host.cluster_name();
            panel.borrow_mut().headers_arrived(&ticket, served_by.as_deref());
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, _: usize, end_of_stream: bool) -> Action {
        self.is_complete |= end_of_stream;
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        if self.ticket.is_some() {
            self.is_complete = true;
            self.take_grpc_status(self.host.response_trailer("grpc-status"));
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        if let (Some(ticket), Some(panel)) = (self.ticket.take(), self.panel.clone()) {
            self.settle(&panel, &ticket);
            log_events(&panel);
        }
    }
}

/// gRPC-Web is not: it has its status in the body.
fn is_grpc(content_type: &[u8]) -> bool {
    content_type
        .strip_prefix(b"application/grpc")
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

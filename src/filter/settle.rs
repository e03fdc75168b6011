//! The end of a request: gathers what the verdict needs, and no more than that.

use super::http::{Exchange, is_grpc};
use super::root::{SharedPanel, log_events};
use crate::breaker::{Call, Outcome, Pace};
use crate::classify::{
    By, Classified, ClientDisconnect, Ending, GRPC_HEADER, Grpc, IN_FORCE_HEADER, Rules, TimedOut,
    Timer, VIA_UPSTREAM, grpc_timeout, millis, retry_after,
};
use crate::config::CircuitPolicy;
use crate::events::Word;
use crate::panel::{Awaited, Seen, Ticket};
use crate::time::Span;

impl Exchange {
    pub(super) fn settle(&mut self, panel: &SharedPanel, ticket: &Ticket, policy: &CircuitPolicy) {
        let rules = &policy.classify;
        let grpc = self.grpc(panel, ticket);
        self.keep_all(panel, ticket, policy);
        if !ticket.is_probe()
            && !self.is_rerouted
            && rules.is_plain_success(self.status, grpc, self.is_complete)
        {
            return self.settle_plainly(panel, ticket, policy);
        }
        let replaced = self.replaced.take();
        let details = match &replaced {
            Some(replaced) => replaced.details.clone(),
            None => self.host.code_details(),
        };
        let ending = Ending {
            status: self.status,
            grpc,
            is_sent: self.is_sent,
            is_complete: self.is_complete,
            details: &details,
            is_rejected_upstream: replaced.is_none()
                && self.host.response_header("x-circuit-breaker").is_some(),
        };
        let mut classified = rules.classify(&ending);
        if classified.by != By::Proxy {
            self.learn_deadlines(panel, ticket, policy);
        }
        if let By::Deadline(timer) = classified.by
            && classified.is_failure()
            && self.is_clients_deadline(panel, ticket, timer, rules.min_deadline)
        {
            classified = classified.blamed_on_client();
        }
        self.take_pace(panel, ticket, policy);
        let served_by = self.host.cluster_name();
        self.log(&classified, &details, served_by.as_deref());
        if self.is_rerouted
            && let Some(server) = &served_by
            && let Some(circuit) = panel.borrow_mut().note_misrouted(ticket, server)
        {
            log::warn!(
                "circuit breaker sent a request to {} but its route led to {}: the route table \
                 lacks a route for what the fallback sets, before the others",
                Word(&circuit),
                Word(&String::from_utf8_lossy(server)),
            );
        }
        let call = Call {
            outcome: classified.outcome,
            pace: self.pace,
            retry_after: match replaced {
                _ if !classified.is_failure() => None,
                Some(replaced) => replaced.retry_after,
                None => self.retry_after(&details, policy),
            },
        };
        let seen = Seen { status: self.status, details: &details };
        panel.borrow_mut().settle(ticket, &call, served_by.as_deref(), seen);
    }

    fn settle_plainly(&self, panel: &SharedPanel, ticket: &Ticket, policy: &CircuitPolicy) {
        self.learn_deadlines(panel, ticket, policy);
        let mut panel = panel.borrow_mut();
        let served_by = panel.may_move(ticket).then(|| self.host.cluster_name()).flatten();
        let call = Call { pace: self.pace, ..Outcome::Success.into() };
        panel.settle(ticket, &call, served_by.as_deref(), Seen::default());
    }

    /// Whether the call was slow; one that is late by now is counted, if it was the upstream's turn.
    pub(super) fn take_pace(
        &mut self,
        panel: &SharedPanel,
        ticket: &Ticket,
        policy: &CircuitPolicy,
    ) {
        let Some(flight) = self.flight.take() else {
            return;
        };
        // Not in a `match`: its borrow would last.
        let awaited = panel.borrow_mut().stop_awaiting(flight);
        let is_slow = match awaited {
            Awaited::InTime => false,
            Awaited::Counted => true,
            Awaited::Late => self.is_upstream_late(&policy.classify),
        };
        if is_slow {
            self.pace = Pace::Slow;
        }
        if awaited == Awaited::Late && is_slow {
            let served_by = self.host.cluster_name();
            panel.borrow_mut().count_slow(ticket, served_by.as_deref());
            log_events(panel);
        }
    }

    fn is_upstream_late(&self, rules: &Rules) -> bool {
        let details = self.host.code_details();
        match rules
            .classify(&Ending { status: self.status, details: &details, ..Ending::default() })
            .by
        {
            By::Upstream | By::Deadline(_) => true,
            By::Client => rules.client_disconnect == ClientDisconnect::Slow,
            By::Proxy => false,
        }
    }

    /// A request whose headers were looked at shows what the route's timeout is.
    fn learn_deadlines(&self, panel: &SharedPanel, ticket: &Ticket, policy: &CircuitPolicy) {
        if let Some(client) = &self.deadlines
            && let Some(known) = panel.borrow_mut().deadlines(ticket)
        {
            known.learn(client, self.in_force(), policy.classify.min_deadline);
        }
    }

    /// Whether the call was gRPC. Where that was not known at its request, a `grpc-status` raises
    /// the question, and the response headers, which can be read again in the log, answer it. They
    /// do too where a gRPC request got no status: a server that speaks none may have answered.
    fn grpc(&self, panel: &SharedPanel, ticket: &Ticket) -> Grpc {
        let is_response_grpc =
            || self.host.response_header("content-type").is_some_and(|value| is_grpc(&value));
        match (self.is_grpc, self.grpc_status) {
            (true, status @ Some(_)) => Grpc::Status(status),
            (true, None) if is_response_grpc() => Grpc::Status(None),
            (false, status @ Some(_)) if is_response_grpc() => {
                panel.borrow_mut().note_protocol(ticket, true);
                Grpc::Status(status)
            }
            (_, _) => Grpc::No,
        }
    }

    fn is_clients_deadline(
        &self,
        panel: &SharedPanel,
        ticket: &Ticket,
        timer: Timer,
        minimum: Span,
    ) -> bool {
        let mut panel = panel.borrow_mut();
        let timed_out = TimedOut {
            timer,
            client: self.deadlines,
            in_force: self.in_force(),
            grpc: self.host.request_header(GRPC_HEADER).and_then(|value| grpc_timeout(&value)),
            is_retried: self.host.attempts() > 1,
            elapsed: panel.now().since(self.sent_at.unwrap_or(ticket.started())),
        };
        panel.deadlines(ticket).is_some_and(|known| known.blame_client(&timed_out, minimum))
    }

    fn in_force(&self) -> Option<Span> {
        millis(&self.host.request_header(IN_FORCE_HEADER)?)
    }

    /// Only the upstream's own answer has one to obey.
    pub(super) fn retry_after(&self, details: &str, policy: &CircuitPolicy) -> Option<Span> {
        if !policy.honor_retry_after || details != VIA_UPSTREAM {
            return None;
        }
        retry_after(&self.host.response_header("retry-after")?, self.host.wall())
    }

    fn log(&self, classified: &Classified, details: &str, served_by: Option<&[u8]>) {
        let Classified { outcome, why, .. } = classified;
        if (*outcome == Outcome::Success && self.pace == Pace::Fast) || !self.host.logs_debug() {
            return;
        }
        log::debug!(
            "circuit breaker {}{} cluster={} status={} details={} reason=\"{why}\"",
            if self.pace == Pace::Slow { "slow " } else { "" },
            match outcome {
                Outcome::Success => "success",
                Outcome::Failure { .. } => "failure",
                Outcome::Ignored => "ignored",
            },
            Word(&String::from_utf8_lossy(served_by.unwrap_or_default())),
            self.status.unwrap_or_default(),
            Word(details),
        );
    }
}

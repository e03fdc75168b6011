//! A better answer than a rejection or a failure, where the policy has one.

use super::http::{Exchange, is_grpc};
use super::root::{SharedPanel, log_events};
use crate::breaker::State;
use crate::classify::{Ending, Grpc};
use crate::config::CircuitPolicy;
use crate::fallback::cache::Cause;
use crate::fallback::{CacheRules, Reroute, Way};
use crate::metrics::Metric;
use crate::panel::{Admitted, Rejected, Ticket};
use crate::reply::{self, Reply};
use crate::time::Span;

/// What is known of a response that our reply took the place of.
#[derive(Debug)]
pub(super) struct Replaced {
    pub(super) details: String,
    pub(super) retry_after: Option<Span>,
}

/// What the access log shows of a request whose failure was replaced.
const FAILED: &str = "circuit_breaker_upstream_failed";

impl Exchange {
    /// The request was rejected: the reply, or none where another cluster takes it.
    pub(super) fn fall_back(&mut self, panel: &SharedPanel, rejected: &Rejected) -> Option<Reply> {
        let Rejected { circuit, policy, rejection } = rejected;
        let is_grpc = self.is_grpc_request();
        let (state, details) = reply::told(rejection.reason);
        for fallback in policy.fallback.iter().filter(|fallback| fallback.when.rejected) {
            match &fallback.way {
                Way::Reroute(reroute) if self.reroute(panel, reroute) => {
                    self.host.set_filter_state("fallback:reroute");
                    panel.borrow().count(circuit, Metric::FallbackReroute);
                    return None;
                }
                // What is no gRPC cannot answer it.
                Way::Cache(rules) if !is_grpc => {
                    let why = (Cause::CircuitOpen, state, details);
                    if let Some(reply) = self.cached(panel, rules, circuit, why) {
                        return Some(reply);
                    }
                }
                Way::Respond(respond) if !is_grpc => {
                    self.host.set_filter_state("fallback:respond");
                    panel.borrow().count(circuit, Metric::FallbackRespond);
                    return Some(respond.reply(state, details));
                }
                Way::Cache(_) | Way::Reroute(_) | Way::Respond(_) => {}
            }
        }
        self.host.set_filter_state("rejected");
        Some(reply::reject(circuit, &policy.reject, rejection, is_grpc))
    }

    /// Whether another circuit's cluster takes the request.
    fn reroute(&mut self, panel: &SharedPanel, reroute: &Reroute) -> bool {
        let method = || self.host.request_header(":method");
        let admitted = panel.borrow_mut().admit(reroute.circuit.as_bytes(), self.is_sent, method);
        log_events(panel);
        if matches!(admitted, Admitted::Rejected(_)) {
            return false;
        }
        let is_rerouted = match reroute.headers.as_slice() {
            [] => self.host.reroute_by_state(&reroute.circuit),
            headers => self.host.reroute_by_headers(headers),
        };
        if let Admitted::Passed(ticket, policy) = admitted {
            if is_rerouted {
                self.pass(panel, ticket, policy);
            } else {
                panel.borrow_mut().release(&ticket);
            }
        }
        is_rerouted
    }

    /// The response has failed before anything of it was sent: the reply in its place.
    pub(super) fn fail_over(
        &mut self,
        panel: &SharedPanel,
        ticket: &Ticket,
        policy: &CircuitPolicy,
    ) -> Option<Reply> {
        let mut chain = policy.fallback.iter().filter(|fallback| fallback.when.failed).peekable();
        chain.peek()?;
        if self.is_grpc {
            return None;
        }
        let details = self.host.code_details();
        if !self.has_failed(&details, policy) {
            return None;
        }
        let (circuit, state) = panel.borrow().circuit_of(ticket)?;
        let reply = chain.find_map(|fallback| match &fallback.way {
            Way::Cache(rules) => {
                self.cached(panel, rules, &circuit, (Cause::UpstreamFailed, state, FAILED))
            }
            Way::Respond(respond) => {
                self.host.set_filter_state("fallback:respond");
                panel.borrow().count(&circuit, Metric::FallbackRespond);
                Some(respond.reply(state, FAILED))
            }
            Way::Reroute(_) => None,
        })?;
        // In the log the response is our reply: what the verdict needs is kept.
        let retry_after = self.retry_after(&details, policy);
        self.replaced = Some(Replaced { details, retry_after });
        self.is_complete = true;
        Some(reply)
    }

    fn cached(
        &self,
        panel: &SharedPanel,
        rules: &CacheRules,
        circuit: &str,
        why: (Cause, State, &'static str),
    ) -> Option<Reply> {
        let reply = self.kept_reply(panel, rules, circuit, why);
        let metric = match reply {
            Some(_) => {
                self.host.set_filter_state("fallback:cache");
                Metric::FallbackCacheHit
            }
            None => Metric::FallbackCacheMiss,
        };
        panel.borrow().count(circuit, metric);
        reply
    }

    fn has_failed(&self, details: &str, policy: &CircuitPolicy) -> bool {
        let ending = Ending {
            status: self.status,
            grpc: Grpc::No,
            is_sent: self.is_sent,
            is_complete: true,
            details,
            is_rejected_upstream: self.host.response_header("x-circuit-breaker").is_some(),
        };
        policy.classify.classify(&ending).is_failure()
            && !self.host.response_header("content-type").is_some_and(|value| is_grpc(&value))
    }
}

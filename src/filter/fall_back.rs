//! A better answer than a rejection or a failure, where the policy has one.

use std::rc::Rc;

use super::http::{Exchange, Step, is_grpc};
use super::keep::kept_reply;
use super::root::{SharedPanel, log_events};
use super::wait::Waiting;
use crate::breaker::State;
use crate::classify::{Ending, Grpc};
use crate::config::CircuitPolicy;
use crate::fallback::cache::{Asked, Cause};
use crate::fallback::{CacheRules, Reroute, Respond, Way};
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
    /// The request was rejected: what becomes of it, by the chain from the link of this number on.
    pub(super) fn fall_back(
        &mut self,
        panel: &SharedPanel,
        rejected: Rejected,
        first: usize,
    ) -> Step {
        let is_grpc = self.is_grpc_request();
        let (state, details) = reply::told(rejected.rejection.reason);
        let circuit = &rejected.circuit;
        for (link, fallback) in rejected.policy.fallback.iter().enumerate().skip(first) {
            match &fallback.way {
                _ if !fallback.when.rejected => {}
                // Its own circuit has rejected it already.
                Way::Reroute(reroute) if *reroute.circuit == **circuit => {}
                Way::Reroute(reroute) if self.reroute(panel, reroute) => {
                    self.host.set_filter_state("fallback:reroute");
                    panel.borrow().count(circuit, Metric::FallbackReroute);
                    return Step::Pass;
                }
                // What is no gRPC cannot answer it.
                Way::Cache(rules) if !is_grpc => {
                    let request = self.host.request_headers();
                    let asked = Asked::new(rules, circuit, request, self.is_sent);
                    let asked = match asked {
                        Some(asked) if asked.awaits_body() => {
                            let wait = (asked, rules.body_wait);
                            return self.wait(panel, rejected, link, wait);
                        }
                        asked => asked,
                    };
                    let why = (Cause::CircuitOpen, state, details);
                    if let Some(reply) = self.cached(panel, circuit, rules, asked.as_ref(), why) {
                        return self.replay(reply);
                    }
                }
                Way::Respond(respond) if !is_grpc => {
                    let reply = self.respond(panel, circuit, respond, (state, details));
                    return Step::Answer(reply.into());
                }
                Way::Cache(_) | Way::Reroute(_) | Way::Respond(_) => {}
            }
        }
        self.host.set_filter_state("rejected");
        let Rejected { rejection, replies, policy, .. } = &rejected;
        Step::Answer(replies.reply(circuit, &policy.reject, rejection, is_grpc))
    }

    /// Goes on where the chain waited for the request's body, with or without that.
    pub(super) fn resume(&mut self, panel: &SharedPanel, waiting: Waiting) -> Step {
        let (rejected, link, asked) = waiting.rejected(panel.borrow().about_now());
        let (state, details) = reply::told(rejected.rejection.reason);
        let why = (Cause::CircuitOpen, state, details);
        let reply = rejected
            .policy
            .cache()
            .and_then(|rules| self.cached(panel, &rejected.circuit, rules, Some(&asked), why));
        match reply {
            Some(reply) => self.replay(reply),
            None => self.fall_back(panel, rejected, link.saturating_add(1)),
        }
    }

    fn replay(&mut self, reply: Reply) -> Step {
        // What replaces a response does not come by here again.
        let reply = Rc::new(reply);
        self.replayed = self.status.is_none().then(|| Rc::clone(&reply));
        Step::Answer(reply)
    }

    /// Whether another circuit's cluster takes the request.
    fn reroute(&mut self, panel: &SharedPanel, reroute: &Reroute) -> bool {
        // Once there is a response it is too late.
        if self.status.is_some() || self.is_held_up {
            return false;
        }
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
        self.is_rerouted = is_rerouted;
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
                let why = (Cause::UpstreamFailed, state, FAILED);
                self.cached(panel, &circuit, rules, self.asked(), why)
            }
            Way::Respond(respond) => Some(self.respond(panel, &circuit, respond, (state, FAILED))),
            Way::Reroute(_) => None,
        })?;
        // In the log the response is our reply: what the verdict needs is kept.
        let retry_after = self.retry_after(&details, policy);
        self.replaced = Some(Replaced { details, retry_after });
        Some(reply)
    }

    fn respond(
        &self,
        panel: &SharedPanel,
        circuit: &str,
        respond: &Respond,
        (state, details): (State, &'static str),
    ) -> Reply {
        self.host.set_filter_state("fallback:respond");
        panel.borrow().count(circuit, Metric::FallbackRespond);
        respond.reply(state, details)
    }

    fn cached(
        &self,
        panel: &SharedPanel,
        circuit: &str,
        rules: &CacheRules,
        asked: Option<&Asked>,
        why: (Cause, State, &'static str),
    ) -> Option<Reply> {
        let reply = asked.and_then(|asked| kept_reply(panel, rules, asked, why));
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

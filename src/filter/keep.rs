//! Keeping good replies for later, as they pass: nothing is ever held up for it.

use std::cell::Cell;

use super::http::Exchange;
use super::root::SharedPanel;
use crate::breaker::State;
use crate::classify::VIA_UPSTREAM;
use crate::config::CircuitPolicy;
use crate::fallback::CacheRules;
use crate::fallback::cache::{
    self, Asked, Cause, Copy, Entry, added, allows_storing, annotate, holds_upstream, is_personal,
    may_serve, without_digests,
};
use crate::panel::Ticket;
use crate::reply::{NO_GRPC_STATUS, Reply};
use crate::time::Timestamp;

/// What is kept of an exchange.
#[derive(Debug)]
pub(super) struct Keeping {
    /// As the filter got it: later filters may rewrite it.
    asked: Asked,
    asked_at: Timestamp,
    copy: Option<Copy>,
    /// Whether the end of the response was told apart from that of its connection.
    is_end_marked: bool,
}

/// Requests with more headers are not kept while they are in flight: no room is taken for them.
const MOST_REQUEST_BYTES: usize = 16 << 10;

impl Exchange {
    /// Later filters change the request, so its key is taken now.
    pub(super) fn keep_request(
        &mut self,
        panel: &SharedPanel,
        ticket: &Ticket,
        policy: &CircuitPolicy,
    ) {
        let Some(rules) = policy.cache().filter(|_| !self.is_grpc) else {
            return;
        };
        // What a request that has waited sent by then does not come again.
        if self.has_waited {
            return;
        }
        let Some((circuit, _)) = panel.borrow().circuit_of(ticket) else {
            return;
        };
        let request = self.host.request_headers();
        if request.size() > MOST_REQUEST_BYTES {
            return;
        }
        if let Some(asked) = Asked::new(rules, &circuit, request, self.is_sent) {
            let asked_at = panel.borrow().about_now();
            let keeping = Keeping { asked, asked_at, copy: None, is_end_marked: false };
            self.keeping = Some(Box::new(keeping));
        }
    }

    /// A chunk of the request's body, which may be part of the key.
    pub(super) fn keep_request_chunk(&mut self, size: usize) {
        if let Some(keeping) = &mut self.keeping
            && keeping.asked.takes(size)
        {
            keeping.asked.add(&self.host.request_body(0, size), size);
        }
    }

    /// Begins a copy of the response, if it may be stored and it is time to.
    pub(super) fn keep_headers(&mut self, panel: &SharedPanel, policy: &CircuitPolicy) {
        if let (Some(rules), Some(mut keeping)) = (policy.cache(), self.keeping.take()) {
            keeping.copy = self.copy(panel, policy, rules, &keeping);
            keeping.is_end_marked = self.is_complete;
            self.keeping = keeping.copy.is_some().then_some(keeping);
        }
    }

    fn copy(
        &self,
        panel: &SharedPanel,
        policy: &CircuitPolicy,
        rules: &CacheRules,
        keeping: &Keeping,
    ) -> Option<Copy> {
        let status = self.status.filter(|status| rules.statuses.contains(status))?;
        // An answer that came before the end of the request has no key, and is not for all of it.
        let key = keeping.asked.key()?;
        if !panel.borrow().is_cache_due(key.hash, rules.refresh_after)
            || !policy.classify.are_good_headers(status, VIA_UPSTREAM)
            || !allows_storing(rules, &keeping.asked.headers)
        {
            return None;
        }
        let response = self.host.response_headers();
        let now = panel.borrow().about_now();
        let exchange = cache::Exchange {
            request: &keeping.asked.headers,
            response: &response,
            wall: self.host.wall(),
            delay: now.since(keeping.asked_at),
        };
        let copy = cache::storable(rules, &exchange)
            .and_then(|terms| Copy::new(terms, status, &response, now, rules.max_body_bytes));
        let mut panel = panel.borrow_mut();
        // Another user's request may get what can be stored.
        if copy.is_none() && !is_personal(rules, &keeping.asked.headers) {
            panel.note_unstorable(key.hash);
        }
        copy.filter(|copy| panel.take_cache_room(copy.room()))
    }

    pub(super) fn keep_chunk(&mut self, size: usize) {
        let Some(keeping) = &mut self.keeping else {
            return;
        };
        let (Some(copy), Some(panel)) = (&mut keeping.copy, &self.panel) else {
            return;
        };
        keeping.is_end_marked = size > 0;
        if size == 0 {
            return;
        }
        let mut panel = panel.borrow_mut();
        let more = copy.growth(size).filter(|more| panel.take_cache_room(*more));
        let room = copy.room().saturating_add(more.unwrap_or(0));
        let chunk = more.map(|_| self.host.response_chunk(size));
        match (more, chunk.filter(|chunk| chunk.len() == size)) {
            (Some(more), Some(chunk)) => copy.add(&chunk, more),
            _ => {
                panel.give_cache_room(room);
                self.keeping = None;
            }
        }
    }

    pub(super) fn keep_trailers(&mut self) {
        if let Some(keeping) = &mut self.keeping {
            keeping.is_end_marked = true;
        }
    }

    /// Stores the copy of a response that came to a good end.
    pub(super) fn keep_all(
        &mut self,
        panel: &SharedPanel,
        ticket: &Ticket,
        policy: &CircuitPolicy,
    ) {
        let (Some(keeping), Some(rules)) = (self.keeping.take(), policy.cache()) else {
            return;
        };
        let Keeping { asked, copy: Some(copy), is_end_marked, .. } = *keeping else {
            return;
        };
        let mut panel = panel.borrow_mut();
        panel.give_cache_room(copy.room());
        let served_by = || self.host.cluster_name();
        let circuit = panel.circuit_of(ticket).map(|(circuit, _)| circuit);
        if self.is_complete
            && self.replaced.is_none()
            && self.host.code_details() == VIA_UPSTREAM
            && holds_upstream(rules, copy.terms(), &self.host.request_headers())
            && circuit.is_some_and(|it| served_by().as_deref() == Some(it.as_bytes()))
            && let (Some(key), Some(entry)) = (asked.key(), copy.finish(is_end_marked))
        {
            panel.store_reply(key, &entry);
        }
    }

    /// What the exchange asked for, where its response might be kept.
    pub(super) fn asked(&self) -> Option<&Asked> {
        Some(&self.keeping.as_ref()?.asked)
    }

    /// All of the request has come.
    pub(super) fn request_kept(&mut self) {
        if let Some(keeping) = &mut self.keeping {
            keeping.asked.end();
        }
    }
}

/// The reply that was kept for a request like this.
pub(super) fn kept_reply(
    panel: &SharedPanel,
    rules: &CacheRules,
    asked: &Asked,
    (cause, state, details): (Cause, State, &'static str),
) -> Option<Reply> {
    let (entry, served) = find(panel, rules, asked)?;
    let mut headers = entry.headers;
    let body = match annotate(&headers, &entry.body, &rules.annotate_json) {
        Some(annotated) => {
            headers = without_digests(&headers);
            annotated
        }
        None => entry.body,
    };
    headers.extend(added(served, cause, state));
    Some(Reply { status: entry.status, details, headers, body, grpc_status: NO_GRPC_STATUS })
}

fn find(panel: &SharedPanel, rules: &CacheRules, asked: &Asked) -> Option<(Entry, cache::Served)> {
    let panel = panel.borrow();
    let now = panel.about_now();
    let served = Cell::new(None);
    let entry = panel.find_reply(asked.key()?, |entry| {
        let resident = now.since(entry.stored_at);
        served.set(may_serve(rules, &entry.terms, &entry.headers, &asked.headers, resident));
        served.get().is_some()
    })?;
    Some((entry, served.get()?))
}

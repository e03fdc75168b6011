//! Keeping good replies for later, as they pass: nothing is ever held up for it.

use super::http::Exchange;
use super::root::SharedPanel;
use crate::breaker::State;
use crate::classify::VIA_UPSTREAM;
use crate::config::CircuitPolicy;
use crate::fallback::CacheRules;
use crate::fallback::cache::{
    self, Asked, Cause, Entry, Terms, added, annotate, drop_digests, kept, may_serve,
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
}

/// A reply on its way into the cache.
#[derive(Debug)]
struct Copy {
    entry: Entry,
    /// What the body may come to. So much room was taken.
    most: usize,
}

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
        if let Some(asked) = Asked::new(rules, &circuit, request, self.is_sent) {
            let asked_at = panel.borrow().about_now();
            self.keeping = Some(Box::new(Keeping { asked, asked_at, copy: None }));
        }
    }

    /// A chunk of the request's body, which may be part of the key.
    pub(super) fn keep_request_chunk(&mut self, size: usize) {
        if let Some(keeping) = &mut self.keeping
            && keeping.asked.takes(size)
        {
            keeping.asked.add(&self.host.request_body(0, size));
        }
    }

    /// Begins a copy of the response, if it may be stored and it is time to.
    pub(super) fn keep_headers(&mut self, panel: &SharedPanel, policy: &CircuitPolicy) {
        let (Some(rules), Some(keeping)) = (policy.cache(), &mut self.keeping) else {
            return;
        };
        // An answer that came before the end of the request has no key, and is not for all of it.
        let is_wanted = self.status.is_some_and(|status| rules.statuses.contains(&status))
            && keeping
                .asked
                .key()
                .is_some_and(|key| panel.borrow().is_cache_due(key.hash, rules.refresh_after));
        if !is_wanted {
            self.keeping = None;
            return;
        }
        let response = self.host.response_headers();
        let now = panel.borrow().about_now();
        let exchange = cache::Exchange {
            request: &keeping.asked.headers,
            response: &response,
            wall: self.host.wall(),
            delay: now.since(keeping.asked_at),
        };
        let terms = cache::storable(rules, &exchange);
        match terms {
            Some(terms) if panel.borrow_mut().take_cache_room(rules.max_body_bytes) => {
                let entry = entry(terms, self.status.unwrap_or_default(), &response, now);
                keeping.copy = Some(Copy { entry, most: rules.max_body_bytes });
            }
            _ => self.keeping = None,
        }
    }

    pub(super) fn keep_chunk(&mut self, size: usize) {
        let Some(keeping) = &mut self.keeping else {
            return;
        };
        let Some(Copy { entry, most }) = &mut keeping.copy else {
            return;
        };
        // Too long a body stays too long, and is not stored.
        if size > 0 && entry.body.len() <= *most {
            if entry.body.len().saturating_add(size) > *most {
                entry.body = vec![0; most.saturating_add(1)];
            } else {
                entry.body.extend(self.host.response_chunk(size));
            }
        }
    }

    /// Stores the copy of a response that came to a good end.
    pub(super) fn keep_all(&mut self, panel: &SharedPanel) {
        let Some(Copy { entry, most }) = self.keeping.as_mut().and_then(|it| it.copy.take()) else {
            return;
        };
        let mut panel = panel.borrow_mut();
        panel.give_cache_room(most);
        if self.is_complete
            && entry.body.len() <= most
            && self.replaced.is_none()
            && self.host.code_details() == VIA_UPSTREAM
            && let Some(key) = self.keeping.as_ref().and_then(|keeping| keeping.asked.key())
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
            drop_digests(&mut headers);
            annotated
        }
        None => entry.body,
    };
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok();
    let mut headers: Vec<(String, String)> =
        headers.into_iter().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect();
    let added = added(served, cause, state).into_iter();
    headers.extend(added.map(|(name, value)| (name.to_owned(), value)));
    Some(Reply { status: entry.status, details, headers, body, grpc_status: NO_GRPC_STATUS })
}

fn entry(terms: Terms, status: u16, response: &cache::Headers, stored_at: Timestamp) -> Entry {
    Entry { terms, status, headers: kept(response), body: Vec::new(), stored_at }
}

fn find(panel: &SharedPanel, rules: &CacheRules, asked: &Asked) -> Option<(Entry, cache::Served)> {
    let panel = panel.borrow();
    let now = panel.now();
    let served = |entry: &Entry| {
        may_serve(rules, &entry.terms, &entry.headers, &asked.headers, now.since(entry.stored_at))
    };
    let entry = panel.find_reply(asked.key()?, |entry| served(entry).is_some())?;
    let served = served(&entry)?;
    Some((entry, served))
}

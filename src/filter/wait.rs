//! A rejected request that waits for its body, which is part of its key: the cache may answer once
//! the body is complete, and the next fallback does when the wait is over.

use proxy_wasm::types::Action;

use super::http::{Exchange, Step};
use super::root::SharedPanel;
use crate::fallback::cache::Asked;
use crate::panel::Rejected;
use crate::time::{Span, Timestamp};

/// Envoy's details where its buffer holds no more of a request.
const TOO_LARGE: &str = "request_payload_too_large";

/// Once a part of the body is held up, only a body callback can let the request pass. Where anything
/// else does, and the route may need the request again (retries, internal redirects), Envoy sends
/// that part twice: the second time in place of what the client sends next, which can be a request
/// of its own to the upstream.
#[derive(Debug)]
pub(super) struct Waiting {
    rejected: Rejected,
    /// The link of the chain that waits.
    link: usize,
    asked: Asked,
    /// How much of the body has been read: what is held up stays in the host's buffer.
    read: usize,
    has_body: bool,
    since: Timestamp,
    until: Timestamp,
}

impl Exchange {
    pub(super) fn wait(
        &mut self,
        panel: &SharedPanel,
        rejected: Rejected,
        link: usize,
        (asked, at_most): (Asked, Span),
    ) -> Step {
        let since = panel.borrow().about_now();
        let until = since + at_most;
        self.has_waited = true;
        let (read, has_body) = (0, false);
        let waiting = Waiting { rejected, link, asked, read, has_body, since, until };
        self.waiting = Some(Box::new(waiting));
        Step::Wait
    }

    pub(super) fn waits_until(&self) -> Option<Timestamp> {
        Some(self.waiting.as_ref()?.until)
    }

    /// More of the body is there, `size` bytes in all.
    pub(super) fn body_held(&mut self, size: usize) -> Action {
        let Some(mut waiting) = self.waiting.take() else {
            return Action::Continue;
        };
        let Some(panel) = self.panel.clone() else {
            return Action::Continue;
        };
        waiting.has_body = true;
        let more = size.saturating_sub(waiting.read);
        if waiting.asked.takes(more) {
            waiting.asked.add(&self.host.request_body(waiting.read, more), more);
            waiting.read = size;
        }
        if self.is_sent {
            waiting.asked.end();
        }
        if waiting.asked.awaits_body() {
            self.waiting = Some(waiting);
            return Action::Pause;
        }
        let step = self.resume(&panel, *waiting);
        self.take(step)
    }

    /// The time is up: answers, or lets another cluster have the request.
    pub(super) fn stop_waiting(&mut self, panel: &SharedPanel) {
        if let Some(waiting) = self.waiting.take() {
            self.is_held_up = waiting.has_body;
            let step = self.resume(panel, *waiting);
            if self.take(step) == Action::Continue {
                self.host.resume_request();
            }
        }
    }

    /// The host answers the request that waits. Where that is because its buffer holds no more, the
    /// next fallback answers instead.
    pub(super) fn wait_cut_short(&mut self, waiting: Waiting) -> Action {
        let Some(panel) = self.panel.clone() else {
            return Action::Continue;
        };
        if self.host.code_details() != TOO_LARGE {
            return Action::Continue;
        }
        self.status = Some(413);
        let step = self.resume(&panel, waiting);
        self.take(step)
    }
}

impl Waiting {
    /// How the request was rejected, with what is left of its wait for the next probe.
    pub(super) fn rejected(mut self, now: Timestamp) -> (Rejected, usize, Asked) {
        let retry_after = &mut self.rejected.rejection.retry_after;
        *retry_after = retry_after.less(now.since(self.since));
        (self.rejected, self.link, self.asked)
    }
}

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

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) rejected: Rejected,
    /// The link of the chain that waits.
    pub(super) link: usize,
    pub(super) asked: Asked,
    /// How much of the body has been read: what is held up stays in the host's buffer.
    read: usize,
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
        let until = panel.borrow().about_now() + at_most;
        self.has_waited = true;
        self.waiting = Some(Box::new(Waiting { rejected, link, asked, read: 0, until }));
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
        let more = size.saturating_sub(waiting.read);
        if waiting.asked.takes(more) {
            waiting.asked.add(&self.host.request_body(waiting.read, more));
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

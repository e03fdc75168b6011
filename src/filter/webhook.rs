//! Tells the webhook of transitions, from callbacks of the root context: nobody hears of the end of
//! a call that was made as a stream ended.

use super::root::SharedPanel;
use crate::host::Host;

/// Posts what comes next.
pub(super) fn post_events(panel: &SharedPanel, host: Host) {
    let mut panel = panel.borrow_mut();
    let now = panel.about_now();
    if let Some((to, outbox)) = panel.webhook() {
        outbox.send(now, to.timeout, |event| host.post(to, &event.document(now, host.wall())));
    }
}

/// A call has ended, with `headers` headers: none where no answer came.
pub(super) fn call_ended(panel: &SharedPanel, host: Host, token: u32, headers: usize) {
    let status = if headers > 0 { host.call_status() } else { None };
    let is_delivered = status.is_some_and(|status| (200..300).contains(&status));
    if let Some((_, outbox)) = panel.borrow_mut().webhook() {
        outbox.answered(token, is_delivered);
    }
}

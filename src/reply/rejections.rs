//! The replies to a circuit's rejected requests: for most of a second they are all the same.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Reply, reject};
use crate::breaker::{RejectReason, Rejection};
use crate::config::Reject;

/// Longer ones are made each time: there may be thousands of circuits.
const LONGEST_KEPT: usize = 4 << 10;

/// Of one circuit and its policy.
#[derive(Debug, Default)]
pub struct Rejections {
    last: RefCell<Option<(Why, Rc<Reply>)>>,
}

/// What a reply depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Why {
    reason: RejectReason,
    /// In seconds.
    retry_after: u64,
    is_grpc: bool,
}

impl Rejections {
    pub fn reply(
        &self,
        circuit: &str,
        rules: &Reject,
        rejection: &Rejection,
        is_grpc: bool,
    ) -> Rc<Reply> {
        let retry_after = rejection.retry_after.as_secs_ceil().max(1);
        let why = Why { reason: rejection.reason, retry_after, is_grpc };
        match &mut *self.last.borrow_mut() {
            Some((last, reply)) if *last == why => Rc::clone(reply),
            last => {
                let reply = Rc::new(reject(circuit, rules, why.reason, retry_after, is_grpc));
                let is_short = reply.body.len() + reply.headers.size() <= LONGEST_KEPT;
                *last = is_short.then(|| (why, Rc::clone(&reply)));
                reply
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    #[test]
    fn a_reply_is_made_again_only_where_it_would_be_another() {
        let rules = Reject { status: 503, headers: Vec::new(), body: None };
        let rejections = Rejections::default();
        let reply = |reason, millis, is_grpc| {
            let rejection = Rejection { reason, retry_after: Span::from_millis(millis) };
            let reply = rejections.reply("up", &rules, &rejection, is_grpc);
            assert_eq!(*reply, reject("up", &rules, reason, millis.div_ceil(1000), is_grpc));
            reply
        };
        let first = reply(RejectReason::Open, 26_900, false);
        assert!(Rc::ptr_eq(&first, &reply(RejectReason::Open, 26_100, false)));
        reply(RejectReason::Open, 25_900, false);
        reply(RejectReason::ProbesInFlight, 25_900, false);
        reply(RejectReason::ProbesInFlight, 25_900, true);
    }

    #[test]
    fn a_long_reply_is_not_kept() {
        let rules = Reject { status: 503, headers: Vec::new(), body: Some("x".repeat(5_000)) };
        let rejections = Rejections::default();
        let rejection = Rejection { reason: RejectReason::Open, retry_after: Span::from_secs(1) };
        let reply = || rejections.reply("up", &rules, &rejection, false);
        assert!(!Rc::ptr_eq(&reply(), &reply()));
    }
}

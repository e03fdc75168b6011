//! What a test can ask the host afterwards, and what it can put in its way.

use std::collections::BTreeMap;

use super::calls::{CallState, HttpCall};
use super::gap::GapRuns;
use super::headers::Headers;
use super::host::Host;
use super::ledger::{Copied, Hostcalls};
use super::logs::{Level, Line};
use super::metrics::Kind;
use super::mishaps::Mishap;
use super::ticking;
use super::vm::{CallAnswer, VmId};

/// Metrics.
impl Host {
    /// 0 for a counter nobody incremented.
    pub fn counter(&self, name: &str) -> u64 {
        self.world().metrics.borrow().value(Kind::Counter, name).unwrap_or(0)
    }

    /// `None` for a gauge nobody set.
    pub fn gauge(&self, name: &str) -> Option<u64> {
        self.world().metrics.borrow().value(Kind::Gauge, name)
    }

    /// Every metric that has a value.
    pub fn metrics(&self) -> BTreeMap<String, u64> {
        self.world().metrics.borrow().used()
    }

    /// Every metric that was ever defined.
    pub fn metric_names(&self) -> Vec<String> {
        self.world().metrics.borrow().names()
    }
}

/// Logs.
impl Host {
    /// The lines of all VMs but the one a configuration is tried in.
    pub fn logs(&self) -> Vec<Line> {
        self.all_logs().into_iter().filter(|line| line.vm != VmId::Canary).collect()
    }

    pub fn all_logs(&self) -> Vec<Line> {
        self.world().logs.borrow().clone()
    }

    pub fn logs_at(&self, level: Level) -> Vec<Line> {
        self.logs().into_iter().filter(|line| line.level == level).collect()
    }

    pub fn logs_with(&self, text: &str) -> Vec<Line> {
        self.logs().into_iter().filter(|line| line.contains(text)).collect()
    }

    pub fn forget_logs(&self) {
        self.world().logs.borrow_mut().clear();
    }

    pub fn set_log_level(&self, level: Level) {
        self.world().log_level.set(level);
    }
}

/// Shared data.
impl Host {
    pub fn shared(&self, key: &str) -> Option<Vec<u8>> {
        self.world().shared_data.borrow().get(key).ok().map(|(value, _)| value)
    }

    pub fn shared_keys(&self) -> Vec<String> {
        self.world().shared_data.borrow().keys()
    }

    /// How many sets of shared data won so far.
    pub fn shared_writes(&self) -> u64 {
        self.world().shared_data.borrow().writes()
    }

    /// Keys and values, in bytes.
    pub fn shared_size(&self) -> usize {
        self.world().shared_data.borrow().bytes()
    }

    /// As another plugin on the same vm_id would: unconditionally.
    pub fn put_shared(&self, key: &str, bytes: impl AsRef<[u8]>) {
        self.world()
            .shared_data
            .borrow_mut()
            .set(key, bytes.as_ref(), 0)
            .expect("cas 0 always wins");
    }

    /// Changes every value whose key has this part, and says how many there were.
    pub fn damage_shared(&self, part_of_key: &str, damage: impl Fn(&mut Vec<u8>)) -> usize {
        let keys: Vec<String> =
            self.shared_keys().into_iter().filter(|key| key.contains(part_of_key)).collect();
        for key in &keys {
            let mut value = self.shared(key).expect("keys never vanish");
            damage(&mut value);
            self.put_shared(key, value);
        }
        keys.len()
    }

    /// The sequence of cas numbers goes on after this one.
    pub fn set_last_cas(&self, cas: u32) {
        self.world().shared_data.borrow_mut().set_last_cas(cas);
    }

    /// Once, between a guest's get and its next set of a key with this part.
    pub fn in_the_gap(&self, part_of_key: &str, act: impl FnMut(&Host) + 'static) -> GapRuns {
        self.in_the_next_gaps(1, part_of_key, act)
    }

    /// The same for each of the next so many gaps; `u32::MAX` for all of them.
    pub fn in_the_next_gaps(
        &self,
        times: u32,
        part_of_key: &str,
        mut act: impl FnMut(&Host) + 'static,
    ) -> GapRuns {
        let host = self.downgrade();
        let act = move || act(&host.upgrade().expect("a guest runs, so its host lives"));
        self.world().gaps.arm(part_of_key, times, Box::new(act))
    }

    pub fn close_gaps(&self) {
        self.world().gaps.disarm();
    }
}

/// Hostcalls.
impl Host {
    pub fn hostcalls_during(&self, act: impl FnOnce(&Host)) -> Hostcalls {
        let before = self.hostcalls();
        act(self);
        self.hostcalls().since(&before)
    }

    pub fn hostcalls(&self) -> Hostcalls {
        self.world().ledger.borrow().snapshot()
    }

    pub fn copied(&self) -> Copied {
        self.world().ledger.borrow().copied
    }
}

/// Calls the filter makes itself.
impl Host {
    pub fn calls(&self) -> Vec<HttpCall> {
        self.world().calls.borrow().iter().filter(|call| call.vm != VmId::Canary).cloned().collect()
    }

    pub fn waiting_calls(&self) -> Vec<HttpCall> {
        self.calls().into_iter().filter(|call| call.state == CallState::Waiting).collect()
    }

    /// Calls to it are refused at once.
    pub fn cluster_is_unknown(&self, cluster: &str) {
        self.world().unreachable.borrow_mut().unknown.insert(cluster.to_owned());
    }

    /// Calls to it fail at once, and no callback ever comes.
    pub fn cluster_has_no_hosts(&self, cluster: &str) {
        self.world().unreachable.borrow_mut().without_hosts.insert(cluster.to_owned());
    }

    /// A refused connection is a 503, a timeout a 504.
    pub fn answer_call(&self, call: &HttpCall, status: u16) {
        self.answer_call_with(call, Headers::new([(":status", status.to_string())]), b"");
    }

    pub fn answer_call_with(&self, call: &HttpCall, headers: Headers, body: &[u8]) {
        self.end_call(
            call,
            CallAnswer { headers: Some(headers), body: body.to_vec(), trailers: None },
        );
    }

    /// The connection was reset: a callback with nothing in it.
    pub fn reset_call(&self, call: &HttpCall) {
        self.end_call(call, CallAnswer::default());
    }

    fn end_call(&self, call: &HttpCall, answer: CallAnswer) {
        {
            let mut calls = self.world().calls.borrow_mut();
            let same = |other: &&mut HttpCall| {
                (other.vm, other.life, other.token) == (call.vm, call.life, call.token)
            };
            let call = calls.iter_mut().find(same).expect("the call was made");
            assert!(
                call.state == CallState::Waiting,
                "the call is not waiting for an answer: {call:?}"
            );
            call.state = CallState::Answered;
        }
        let worker = self.all_vms().into_iter().find(|worker| worker.core.id == call.vm);
        let core = worker.expect("a waiting call has a VM").core;
        let headers = answer.headers.as_ref().map_or(0, Headers::len);
        let arguments = (call.context, call.token, headers, answer.body.len() as u32, 0u32);
        let _ = core.with_state(|state| state.call_answer = Some(answer));
        let _ = core.enter::<_, ()>(call.context, "proxy_on_http_call_response", arguments);
        let _ = core.with_state(|state| state.call_answer = None);
    }
}

/// Mishaps.
impl Host {
    /// From now on every hostcall asks what becomes of it; `None` is what should.
    pub fn misbehaves(&self, script: impl FnMut(&'static str) -> Option<Mishap> + 'static) {
        self.world().mishaps.follow(Box::new(script));
    }

    pub fn behaves(&self) {
        self.world().mishaps.end();
    }

    /// How many hostcalls went wrong so far.
    pub fn mishaps(&self) -> u64 {
        self.world().mishaps.count()
    }
}

/// Shared queues.
impl Host {
    /// Their owners hear of waiting messages, which also happens with every [`advance`](Self::advance).
    pub fn deliver_queues(&self) {
        ticking::deliver_queues(self.world());
    }
}

//! How often what is rare was explored: a model in which it never happens proves nothing of it.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub struct Seen {
    /// Swaps that lost and were decided again.
    pub lost_races: AtomicU64,
    /// Requests admitted by a snapshot of an earlier generation.
    pub late_admissions: AtomicU64,
    /// Requests rejected by a snapshot of a circuit that had closed.
    pub late_rejections: AtomicU64,
}

impl Seen {
    pub fn each(&self) -> [(&'static str, u64); 3] {
        [
            ("lost races", &self.lost_races),
            ("late admissions", &self.late_admissions),
            ("late rejections", &self.late_rejections),
        ]
        .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }
}

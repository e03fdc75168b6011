//! The gap: what another worker does between a guest's get of a key and its set of the same key.
//!
//! Workers of the real host run at the same time, so anything can happen there. Here it happens at the latest moment, just
//! before the set, which no guest can tell from any earlier one.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

type Action = Box<dyn FnMut()>;

/// Tells how often the gap was used: a test of a collision has to prove that there was one.
#[derive(Clone, Debug, Default)]
pub struct GapRuns(Rc<Cell<u32>>);

impl GapRuns {
    pub fn count(&self) -> u32 {
        self.0.get()
    }
}

struct Hook {
    part_of_key: String,
    left: u32,
    runs: GapRuns,
    action: Action,
}

#[derive(Default)]
pub struct Gaps(RefCell<Vec<Hook>>);

impl Gaps {
    pub fn arm(&self, part_of_key: &str, times: u32, action: Action) -> GapRuns {
        let runs = GapRuns::default();
        let hook =
            Hook { part_of_key: part_of_key.to_owned(), left: times, runs: runs.clone(), action };
        self.0.borrow_mut().push(hook);
        runs
    }

    pub fn disarm(&self) {
        self.0.borrow_mut().clear();
    }

    /// Hooks are taken out while one runs: what it does has gaps of its own, and those are not its business.
    pub fn run(&self, key: &str) {
        if !self.0.borrow().iter().any(|hook| key.contains(&hook.part_of_key)) {
            return;
        }
        let mut hooks = self.0.take();
        for hook in hooks.iter_mut().filter(|hook| key.contains(&hook.part_of_key)) {
            hook.left -= 1;
            hook.runs.0.set(hook.runs.0.get() + 1);
            (hook.action)();
        }
        hooks.retain(|hook| hook.left > 0);
        self.0.borrow_mut().splice(0..0, hooks);
    }
}

//! The process: what all VMs share.

use std::cell::{Cell, RefCell};
use std::rc::Weak;

use super::calls::{HttpCall, Unreachable};
use super::clock::Clock;
use super::gap::Gaps;
use super::ledger::Ledger;
use super::logs::{Level, Line};
use super::metrics::Metrics;
use super::mishaps::Mishaps;
use super::queues::Queues;
use super::shared_data::SharedData;
use super::worker::WorkerCore;

pub struct World {
    pub clock: Clock,
    pub shared_data: RefCell<SharedData>,
    pub gaps: Gaps,
    pub metrics: RefCell<Metrics>,
    pub queues: RefCell<Queues>,
    pub logs: RefCell<Vec<Line>>,
    pub log_level: Cell<Level>,
    pub ledger: RefCell<Ledger>,
    pub calls: RefCell<Vec<HttpCall>>,
    pub unreachable: RefCell<Unreachable>,
    pub vms: RefCell<Vec<Weak<WorkerCore>>>,
    pub mishaps: Mishaps,
}

impl Default for World {
    fn default() -> Self {
        Self {
            clock: Clock::default(),
            shared_data: RefCell::default(),
            gaps: Gaps::default(),
            metrics: RefCell::default(),
            queues: RefCell::default(),
            logs: RefCell::default(),
            log_level: Cell::new(Level::Info),
            ledger: RefCell::default(),
            calls: RefCell::default(),
            unreachable: RefCell::default(),
            vms: RefCell::default(),
            mishaps: Mishaps::default(),
        }
    }
}

impl World {
    pub fn log(&self, line: Line) {
        if line.level >= self.log_level.get() {
            self.logs.borrow_mut().push(line);
        }
    }
}

//! The courses that the circuits take, as the log tells, and so what may become of a request.

use std::collections::BTreeMap;

use crate::harness::prelude::*;

/// Two ticks, and some: so long after a transition every worker knows of it.
pub const UNTIL_KNOWN: u64 = 45;

#[derive(Default)]
pub struct Courses {
    lines: usize,
    circuits: BTreeMap<String, Course>,
}

struct Course {
    /// The last state that is old enough for all workers to know, and those that came since.
    states: Vec<String>,
    turns: usize,
}

impl Courses {
    pub fn read(&mut self, host: &Host) {
        let lines = host.logs();
        for line in lines.iter().skip(self.lines).filter(|line| line.contains(" state change ")) {
            let word = |name: &str| line.text.split(' ').find_map(|word| word.strip_prefix(name));
            let (name, to) = word("circuit=").zip(word("to=")).expect("it tells which, and what");
            let course = self.circuits.entry(name.to_owned()).or_default();
            course.states.push(to.to_owned());
            course.turns += 1;
        }
        self.lines = lines.len();
    }

    /// What has been read so far.
    pub fn all_know(&mut self) {
        for course in self.circuits.values_mut() {
            course.states.drain(..course.states.len() - 1);
        }
    }

    /// By what one worker or another knows.
    pub fn may_be_other_than(&self, state: &str, circuit: &str) -> bool {
        match self.circuits.get(circuit) {
            Some(course) => course.states.iter().any(|each| each != state),
            None => state != "closed",
        }
    }

    /// How many transitions there were.
    pub fn turns(&self, circuit: &str) -> usize {
        self.circuits.get(circuit).map_or(0, |course| course.turns)
    }
}

impl Default for Course {
    fn default() -> Self {
        Self { states: vec!["closed".to_owned()], turns: 0 }
    }
}

//! Who was told of what, as far as it matters: transitions are told in the order of their
//! generations, each once, but for those whose tellers died.

use fusebox::breaker::Transition;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Telling {
    /// The last generation that was told, or lost with its teller.
    pub last: u32,
    pub has_repeated: bool,
    pub has_skipped: bool,
}

impl Telling {
    pub fn tell(&mut self, transition: Option<Transition>) {
        let Some(Transition { generation, .. }) = transition else { return };
        self.has_repeated |= generation <= self.last;
        self.has_skipped |= generation > self.last + 1;
        self.last = generation;
    }

    /// Its teller died. That too can happen only once, and in order.
    pub fn lose(&mut self, transition: Option<Transition>) {
        self.tell(transition);
    }
}

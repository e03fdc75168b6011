//! Shared queues: named, of the process, each with the root contexts that registered it.

use std::collections::{BTreeMap, VecDeque};

use super::abi::Status;
use super::vm::VmId;

#[derive(Debug, Default)]
pub struct Queues {
    tokens: BTreeMap<String, u32>,
    messages: BTreeMap<u32, VecDeque<Vec<u8>>>,
    owners: BTreeMap<u32, (VmId, u32)>,
}

impl Queues {
    /// The last to register is the one who is told.
    pub fn register(&mut self, name: &str, vm: VmId, root: u32) -> u32 {
        let next = self.tokens.len() as u32 + 1;
        let token = *self.tokens.entry(name.to_owned()).or_insert(next);
        self.messages.entry(token).or_default();
        self.owners.insert(token, (vm, root));
        token
    }

    pub fn resolve(&self, name: &str) -> Result<u32, Status> {
        self.tokens.get(name).copied().ok_or(Status::NotFound)
    }

    pub fn enqueue(&mut self, token: u32, message: Vec<u8>) -> Result<(), Status> {
        self.messages.get_mut(&token).ok_or(Status::NotFound)?.push_back(message);
        Ok(())
    }

    pub fn dequeue(&mut self, token: u32) -> Result<Vec<u8>, Status> {
        let queue = self.messages.get_mut(&token).ok_or(Status::NotFound)?;
        queue.pop_front().ok_or(Status::Empty)
    }

    /// Who has to be told about waiting messages, and of which queue.
    pub fn ready(&self) -> Vec<(VmId, u32, u32)> {
        let waiting = self.messages.iter().filter(|(_, queue)| !queue.is_empty());
        waiting
            .filter_map(|(token, _)| self.owners.get(token).map(|(vm, root)| (*vm, *root, *token)))
            .collect()
    }
}

//! The encoding of the boundary: statuses, pairs, and reading and writing a guest's memory.

use wasmtime::{Caller, Extern, Memory};

use super::headers::Headers;
use super::vm::VmState;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    Ok = 0,
    NotFound = 1,
    BadArgument = 2,
    InvalidMemoryAccess = 6,
    Empty = 7,
    CasMismatch = 8,
    InternalFailure = 10,
}

/// Why a hostcall did not simply succeed: the guest is told, or the guest dies.
pub enum Fault {
    Status(Status),
    Trap(wasmtime::Error),
}

impl From<Status> for Fault {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

pub type Answer = Result<(), Fault>;

/// The guest that is making a hostcall.
pub struct Guest<'a> {
    caller: Caller<'a, VmState>,
}

impl<'a> Guest<'a> {
    pub fn new(caller: Caller<'a, VmState>) -> Self {
        Self { caller }
    }

    pub fn state(&mut self) -> &mut VmState {
        self.caller.data_mut()
    }

    pub fn bytes(&mut self, at: u32, len: u32) -> Result<Vec<u8>, Fault> {
        let memory = self.memory()?;
        let (start, end) = (at as usize, at as usize + len as usize);
        let bytes = memory.data(&self.caller).get(start..end);
        let bytes = bytes.ok_or(Status::InvalidMemoryAccess)?.to_vec();
        self.state().world.ledger.borrow_mut().copied.out_of_guests += u64::from(len);
        Ok(bytes)
    }

    pub fn text(&mut self, at: u32, len: u32) -> Result<String, Fault> {
        Ok(String::from_utf8_lossy(&self.bytes(at, len)?).into_owned())
    }

    pub fn pairs(&mut self, at: u32, len: u32) -> Result<Headers, Fault> {
        Ok(Headers::decode(&self.bytes(at, len)?))
    }

    pub fn write(&mut self, at: u32, bytes: &[u8]) -> Answer {
        let memory = self.memory()?;
        memory
            .write(&mut self.caller, at as usize, bytes)
            .map_err(|_| Status::InvalidMemoryAccess)?;
        self.state().world.ledger.borrow_mut().copied.into_guests += bytes.len() as u64;
        Ok(())
    }

    /// Hands bytes over in memory the guest allocates. Nothing is allocated for nothing: the guest gets a null pointer.
    pub fn give(&mut self, bytes: &[u8], pointer_at: u32, len_at: u32) -> Answer {
        let garbled = self.state().world.mishaps.take_garbled();
        let bytes = garbled.as_deref().unwrap_or(bytes);
        let mut pointer = 0;
        if !bytes.is_empty() {
            pointer = self.allocate(bytes.len() as u32)?;
            self.write(pointer, bytes)?;
        }
        self.write(pointer_at, &pointer.to_le_bytes())?;
        self.write(len_at, &(bytes.len() as u32).to_le_bytes())
    }

    fn allocate(&mut self, len: u32) -> Result<u32, Fault> {
        let export = ["proxy_on_memory_allocate", "malloc"]
            .into_iter()
            .find_map(|name| self.caller.get_export(name)?.into_func())
            .ok_or(Status::InvalidMemoryAccess)?;
        let allocate = export.typed::<u32, u32>(&self.caller).map_err(Fault::Trap)?;
        match allocate.call(&mut self.caller, len).map_err(Fault::Trap)? {
            0 => Err(Status::InvalidMemoryAccess.into()),
            pointer => Ok(pointer),
        }
    }

    fn memory(&mut self) -> Result<Memory, Fault> {
        match self.caller.get_export("memory") {
            Some(Extern::Memory(memory)) => Ok(memory),
            _ => Err(Status::InvalidMemoryAccess.into()),
        }
    }
}

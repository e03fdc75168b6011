//! A kind of request is measured twice, in two builds of the filter: the one that is shipped, and the one that counts its
//! allocations.

use wasmtime::Module;

use crate::harness::config::Config;
use crate::harness::host::Host;
use crate::harness::ledger::Copied;
use crate::harness::module::{counting, fusebox};

/// A story in two parts, of which the second is measured.
pub struct Kind {
    pub name: &'static str,
    /// All that is done only once, or not each time, happens here.
    pub before: fn(&Lab) -> Host,
    pub act: fn(&Host),
}

/// Starts hosts with one build of the filter.
pub struct Lab {
    module: Module,
}

impl Lab {
    pub fn with(&self, config: Config) -> Host {
        let setup = Host::setup().guest(self.module.clone());
        setup.boot(config).expect("the configuration is accepted")
    }
}

#[derive(Clone, Debug)]
pub struct Cost {
    pub name: &'static str,
    pub hostcalls: Vec<(&'static str, u64)>,
    pub copied: Copied,
    pub fuel: u64,
    pub allocations: u64,
    pub allocated_bytes: u64,
}

pub fn all(kinds: &[Kind]) -> Vec<Cost> {
    // Most of the time is spent compiling them.
    let counting = std::thread::spawn(counting);
    let shipped = Lab { module: fusebox() };
    let counting = Lab { module: counting.join().expect("it is built") };
    kinds.iter().map(|kind| cost(kind, &shipped, &counting)).collect()
}

fn cost(kind: &Kind, shipped: &Lab, counting: &Lab) -> Cost {
    let host = (kind.before)(shipped);
    let before = host.worker(0).fuel_used();
    let crossed = crossed(kind, &host);
    let fuel = host.worker(0).fuel_used() - before;

    let host = (kind.before)(counting);
    let (count, bytes) = host.worker(0).allocations();
    let again = self::crossed(kind, &host);
    let (allocations, allocated_bytes) = host.worker(0).allocations();
    assert_eq!(crossed, again, "{}: the two builds do not do the same", kind.name);
    let (hostcalls, copied) = crossed;
    Cost {
        name: kind.name,
        hostcalls,
        copied,
        fuel,
        allocations: allocations - count,
        allocated_bytes: allocated_bytes - bytes,
    }
}

/// What crosses the boundary.
fn crossed(kind: &Kind, host: &Host) -> (Vec<(&'static str, u64)>, Copied) {
    let before = host.copied();
    let hostcalls = host.hostcalls_during(kind.act);
    (hostcalls.list(), host.copied().since(before))
}

//! Virtual time in order: the earliest due tick of all VMs first, each at its own instant.

use std::rc::{Rc, Weak};
use std::time::Duration;

use super::worker::WorkerCore;
use super::world::World;

pub fn run_until(world: &World, target: u64) {
    deliver_queues(world);
    while let Some((due, vm, root)) = next_tick(world, target) {
        move_to(world, due);
        vm.tick_root(root, due);
        deliver_queues(world);
    }
    move_to(world, target);
}

fn next_tick(world: &World, target: u64) -> Option<(u64, Rc<WorkerCore>, u32)> {
    let ticks = running(world).into_iter().filter_map(|vm| {
        let (due, root) = vm.earliest_tick()?;
        (due <= target).then_some((due, vm, root))
    });
    ticks.min_by_key(|(due, vm, root)| (*due, vm.id, *root))
}

/// Never backwards: an overdue tick runs late.
fn move_to(world: &World, instant: u64) {
    let ahead = instant.saturating_sub(world.clock.monotonic());
    world.clock.advance(Duration::from_nanos(ahead));
}

/// Every owner hears once of every message that waits now.
pub fn deliver_queues(world: &World) {
    let ready = world.queues.borrow().ready();
    for (id, root, queue) in ready {
        for vm in running(world).iter().filter(|vm| vm.id == id) {
            let _ = vm.enter::<_, ()>(root, "proxy_on_queue_ready", (root, queue));
        }
    }
}

fn running(world: &World) -> Vec<Rc<WorkerCore>> {
    world.vms.borrow().iter().filter_map(Weak::upgrade).collect()
}

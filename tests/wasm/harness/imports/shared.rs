//! What VMs share: data, queues, metrics.

use wasmtime::Linker;

use super::import;
use crate::harness::vm::VmState;

pub fn link(linker: &mut Linker<VmState>) {
    data(linker);
    queues(linker);
    metrics(linker);
}

fn data(linker: &mut Linker<VmState>) {
    import!(linker, proxy_get_shared_data, |guest,
                                            key: u32,
                                            key_len: u32,
                                            value: u32,
                                            value_len: u32,
                                            cas: u32| {
        let key = guest.text(key, key_len)?;
        guest.state().read_keys.insert(key.clone());
        let (bytes, current) = guest.state().world.shared_data.borrow().get(&key)?;
        guest.give(&bytes, value, value_len)?;
        guest.write(cas, &current.to_le_bytes())
    });
    import!(linker, proxy_set_shared_data, |guest,
                                            key: u32,
                                            key_len: u32,
                                            value: u32,
                                            value_len: u32,
                                            cas: u32| {
        let key = guest.text(key, key_len)?;
        let value = guest.bytes(value, value_len)?;
        let world = guest.state().world.clone();
        if guest.state().read_keys.remove(&key) {
            world.gaps.run(&key);
        }
        Ok(world.shared_data.borrow_mut().set(&key, &value, cas)?)
    });
}

fn queues(linker: &mut Linker<VmState>) {
    import!(linker, proxy_register_shared_queue, |guest, name: u32, name_len: u32, token: u32| {
        let name = guest.text(name, name_len)?;
        let state = guest.state();
        let root = state.root_id();
        let new = state.world.queues.borrow_mut().register(&name, state.id, root);
        guest.write(token, &new.to_le_bytes())
    });
    import!(
        linker,
        proxy_resolve_shared_queue,
        |guest, _vm: u32, _vm_len: u32, name: u32, name_len: u32, token: u32| {
            let name = guest.text(name, name_len)?;
            let found = guest.state().world.queues.borrow().resolve(&name)?;
            guest.write(token, &found.to_le_bytes())
        }
    );
    import!(linker, proxy_enqueue_shared_queue, |guest, token: u32, value: u32, value_len: u32| {
        let message = guest.bytes(value, value_len)?;
        Ok(guest.state().world.queues.borrow_mut().enqueue(token, message)?)
    });
    import!(linker, proxy_dequeue_shared_queue, |guest, token: u32, value: u32, value_len: u32| {
        let message = guest.state().world.queues.borrow_mut().dequeue(token)?;
        guest.give(&message, value, value_len)
    });
}

fn metrics(linker: &mut Linker<VmState>) {
    import!(linker, proxy_define_metric, |guest, kind: u32, name: u32, name_len: u32, id: u32| {
        let name = guest.text(name, name_len)?;
        let world = guest.state().world.clone();
        let new = guest.state().metric_ids.define(&mut world.metrics.borrow_mut(), kind, &name)?;
        guest.write(id, &new.to_le_bytes())
    });
    import!(linker, proxy_increment_metric, |guest, id: u32, offset: i64| {
        let world = guest.state().world.clone();
        Ok(guest.state().metric_ids.increment(&mut world.metrics.borrow_mut(), id, offset)?)
    });
    import!(linker, proxy_record_metric, |guest, id: u32, value: u64| {
        let world = guest.state().world.clone();
        Ok(guest.state().metric_ids.record(&mut world.metrics.borrow_mut(), id, value)?)
    });
    import!(linker, proxy_get_metric, |guest, id: u32, value: u32| {
        let world = guest.state().world.clone();
        let current = guest.state().metric_ids.get(&world.metrics.borrow(), id)?;
        guest.write(value, &current.to_le_bytes())
    });
}

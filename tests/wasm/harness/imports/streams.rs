//! Header maps, bodies, properties, and what a filter can do to a stream.

use wasmtime::Linker;

use super::import;
use crate::harness::abi::{Fault, Guest, Status};
use crate::harness::headers::Headers;
use crate::harness::property;
use crate::harness::reply::LocalReply;
use crate::harness::vm::{Deferred, VmState};

const REQUEST_HEADERS: u32 = 0;
const LAST_MAP: u32 = 7;

pub fn link(linker: &mut Linker<VmState>) {
    read_maps(linker);
    change_maps(linker);
    buffers(linker);
    properties(linker);
    control(linker);
}

fn read_maps(linker: &mut Linker<VmState>) {
    import!(
        linker,
        proxy_get_header_map_value,
        |guest, map: u32, key: u32, key_len: u32, value: u32, value_len: u32| {
            let key = guest.text(key, key_len)?;
            let logging = guest.state().stream().is_some_and(|stream| stream.borrow().logging);
            // In the log callback a map that never was is merely empty.
            let absent =
                if logging && map <= LAST_MAP { Status::NotFound } else { Status::BadArgument };
            let found = readable(guest, map).ok_or(absent)?;
            let found = found.get(&key).ok_or(Status::NotFound)?.to_vec();
            guest.give(&found, value, value_len)
        }
    );
    // All of a map that is not there are no headers at all: unlike one header, this is no error.
    import!(linker, proxy_get_header_map_pairs, |guest, map: u32, value: u32, value_len: u32| {
        if map > LAST_MAP {
            return Err(Status::BadArgument.into());
        }
        let pairs = readable(guest, map).unwrap_or_default().encode();
        guest.give(&pairs, value, value_len)
    });
}

fn change_maps(linker: &mut Linker<VmState>) {
    import!(linker, proxy_set_header_map_pairs, |guest, map: u32, pairs: u32, len: u32| {
        let pairs = guest.pairs(pairs, len)?;
        change(guest, map, |headers| *headers = pairs)
    });
    import!(
        linker,
        proxy_replace_header_map_value,
        |guest, map: u32, key: u32, key_len: u32, value: u32, value_len: u32| {
            let (key, value) = (guest.text(key, key_len)?, guest.bytes(value, value_len)?);
            change(guest, map, |headers| headers.set(&key, &value))
        }
    );
    import!(
        linker,
        proxy_add_header_map_value,
        |guest, map: u32, key: u32, key_len: u32, value: u32, value_len: u32| {
            let (key, value) = (guest.text(key, key_len)?, guest.bytes(value, value_len)?);
            change(guest, map, |headers| headers.add(&key, &value))
        }
    );
    import!(linker, proxy_remove_header_map_value, |guest, map: u32, key: u32, key_len: u32| {
        let key = guest.text(key, key_len)?;
        change(guest, map, |headers| headers.remove(&key))
    });
}

fn readable(guest: &mut Guest<'_>, map: u32) -> Option<Headers> {
    let answer = guest.state().call_answer.as_ref();
    match map {
        6 => answer?.headers.clone(),
        7 => answer?.trailers.clone(),
        _ => guest.state().stream()?.borrow().readable(map).cloned(),
    }
}

/// Any change to the request headers makes Envoy look for a route again.
fn change(guest: &mut Guest<'_>, map: u32, change: impl FnOnce(&mut Headers)) -> Result<(), Fault> {
    let stream = guest.state().stream().ok_or(Status::BadArgument)?;
    let mut stream = stream.borrow_mut();
    change(stream.writable(map).ok_or(Status::BadArgument)?);
    if map == REQUEST_HEADERS {
        stream.route_clears += 1;
    }
    Ok(())
}

fn buffers(linker: &mut Linker<VmState>) {
    import!(
        linker,
        proxy_get_buffer_bytes,
        |guest, buffer: u32, start: u32, len: u32, value: u32, value_len: u32| {
            let bytes = buffer_bytes(guest, buffer)?;
            let start = (start as usize).min(bytes.len());
            let end = start.saturating_add(len as usize).min(bytes.len());
            // Envoy writes no pointer at all when there is nothing to hand over.
            match &bytes[start..end] {
                [] => Ok(()),
                part => guest.give(part, value, value_len),
            }
        }
    );
    import!(
        linker,
        proxy_set_buffer_bytes,
        |guest, buffer: u32, start: u32, len: u32, value: u32, value_len: u32| {
            let value = guest.bytes(value, value_len)?;
            let stream = guest.state().stream().ok_or(Status::NotFound)?;
            let mut stream = stream.borrow_mut();
            let body = stream.body(buffer).ok_or(Status::NotFound)?;
            let start = (start as usize).min(body.len());
            let end = start.saturating_add(len as usize).min(body.len());
            body.splice(start..end, value);
            Ok(())
        }
    );
}

fn buffer_bytes(guest: &mut Guest<'_>, buffer: u32) -> Result<Vec<u8>, Fault> {
    let state = guest.state();
    Ok(match buffer {
        0 | 1 => {
            let stream = state.stream().ok_or(Status::NotFound)?;
            let body = stream.borrow_mut().body(buffer).cloned();
            body.unwrap_or_default()
        }
        4 => state.call_answer.as_ref().ok_or(Status::NotFound)?.body.clone(),
        6 => Vec::new(), // no VM configuration is ever given
        7 => state.configuration.clone().ok_or(Status::NotFound)?,
        _ => return Err(Status::NotFound.into()),
    })
}

fn properties(linker: &mut Linker<VmState>) {
    import!(linker, proxy_get_property, |guest,
                                         path: u32,
                                         path_len: u32,
                                         value: u32,
                                         value_len: u32| {
        let path = guest.bytes(path, path_len)?;
        let stream = guest.state().stream().ok_or(Status::NotFound)?;
        let found = property::read(&stream.borrow(), &path).ok_or(Status::NotFound)?;
        guest.give(&found, value, value_len)
    });
    import!(linker, proxy_set_property, |guest,
                                         path: u32,
                                         path_len: u32,
                                         value: u32,
                                         value_len: u32| {
        let (path, value) = (guest.bytes(path, path_len)?, guest.bytes(value, value_len)?);
        let stream = guest.state().stream().ok_or(Status::NotFound)?;
        stream.borrow_mut().filter_state.insert(path, value);
        Ok(())
    });
}

fn control(linker: &mut Linker<VmState>) {
    import!(linker, proxy_continue_stream, |guest, kind: u32| {
        let Some(stream) = guest.state().stream() else { return Ok(()) };
        guest.state().deferred.push(match kind {
            0 => Deferred::ContinueRequest(stream),
            1 => Deferred::ContinueResponse(stream),
            _ => return Err(Status::BadArgument.into()),
        });
        Ok(())
    });
    import!(linker, proxy_close_stream, |guest, kind: u32| {
        if kind > 1 {
            return Err(Status::BadArgument.into());
        }
        let Some(stream) = guest.state().stream() else { return Ok(()) };
        guest.state().deferred.push(Deferred::Close(stream));
        Ok(())
    });
    import!(
        linker,
        proxy_send_local_response,
        |guest,
         status: u32,
         details: u32,
         details_len: u32,
         body: u32,
         body_len: u32,
         headers: u32,
         headers_len: u32,
         grpc_status: i32| {
            let reply = LocalReply {
                status: status as u16,
                details: guest.text(details, details_len)?,
                headers: guest.pairs(headers, headers_len)?,
                body: guest.bytes(body, body_len)?,
                grpc_status,
            };
            // From a root context this does nothing, and says it went well.
            if let Some(stream) = guest.state().stream() {
                stream.borrow_mut().local_replies += 1;
                guest.state().deferred.push(Deferred::Reply(stream, reply));
            }
            Ok(())
        }
    );
}

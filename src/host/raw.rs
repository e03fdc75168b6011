//! The host's functions, and their statuses as values.
//!
//! The SDK's own wrappers panic on a status they do not expect, and a panic takes the worker's
//! filter down; some functions (the monotonic clock, the details of a local reply) it lacks. So
//! these are declared again, and every status is an answer.
#![allow(unsafe_code)]

use std::ptr;

use crate::store::HostError;

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const EMPTY: u32 = 7;
pub(super) const CAS_MISMATCH: u32 = 8;
/// What the functions answer where there is no host: natively, in unit tests.
#[cfg(not(target_arch = "wasm32"))]
const UNIMPLEMENTED: u32 = 12;

macro_rules! host_functions {
    ($module:literal: $(fn $name:ident($($argument:ident: $type:ty),* $(,)?);)*) => {
        #[cfg(target_arch = "wasm32")]
        #[link(wasm_import_module = $module)]
        unsafe extern "C" {
            $(fn $name($($argument: $type),*) -> u32;)*
        }
        $(
            #[cfg(not(target_arch = "wasm32"))]
            unsafe extern "C" fn $name($(_: $type),*) -> u32 {
                UNIMPLEMENTED
            }
        )*
    };
}

host_functions! { "env":
    fn proxy_get_property(path: *const u8, path_size: usize, value: *mut *mut u8, size: *mut usize);
    fn proxy_set_property(path: *const u8, path_size: usize, value: *const u8, size: usize);
    fn proxy_get_header_map_value(
        map: u32, key: *const u8, key_size: usize, value: *mut *mut u8, size: *mut usize,
    );
    fn proxy_get_header_map_pairs(map: u32, value: *mut *mut u8, size: *mut usize);
    fn proxy_replace_header_map_value(
        map: u32, key: *const u8, key_size: usize, value: *const u8, size: usize,
    );
    fn proxy_add_header_map_value(
        map: u32, key: *const u8, key_size: usize, value: *const u8, size: usize,
    );
    fn proxy_remove_header_map_value(map: u32, key: *const u8, key_size: usize);
    fn proxy_call_foreign_function(
        name: *const u8, name_size: usize,
        argument: *const u8, argument_size: usize,
        value: *mut *mut u8, size: *mut usize,
    );
    fn proxy_get_buffer_bytes(
        buffer: u32, start: usize, most: usize, value: *mut *mut u8, size: *mut usize,
    );
    fn proxy_set_effective_context(context: u32);
    fn proxy_continue_stream(stream: u32);
    fn proxy_get_shared_data(
        key: *const u8, key_size: usize, value: *mut *mut u8, size: *mut usize, cas: *mut u32,
    );
    fn proxy_set_shared_data(
        key: *const u8, key_size: usize, value: *const u8, size: usize, cas: u32,
    );
    fn proxy_send_local_response(
        status: u32,
        details: *const u8, details_size: usize,
        body: *const u8, body_size: usize,
        headers: *const u8, headers_size: usize,
        grpc_status: i32,
    );
    fn proxy_get_current_time_nanoseconds(time: *mut u64);
    fn proxy_set_tick_period_milliseconds(period: u32);
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32);
    fn proxy_increment_metric(id: u32, by: i64);
    fn proxy_record_metric(id: u32, value: u64);
    fn proxy_get_metric(id: u32, value: *mut u64);
    fn proxy_get_log_level(level: *mut u32);
}

host_functions! { "wasi_snapshot_preview1":
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64);
}

/// The maps of headers and trailers, by the ABI's numbers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Map {
    RequestHeaders = 0,
    ResponseHeaders = 2,
    ResponseTrailers = 3,
    CallResponseHeaders = 6,
}

/// Buffers, by the ABI's numbers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Buffer {
    RequestBody = 0,
    ResponseBody = 1,
    PluginConfiguration = 7,
}

/// Directions of a stream, by the ABI's numbers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stream {
    Request = 0,
}

/// The clock that only ever goes forward, by WASI's number.
const MONOTONIC: u32 = 1;

/// `path` has its segments separated by NUL.
pub(super) fn get_property(path: &str) -> Result<Option<Vec<u8>>, HostError> {
    receive(|value, size| {
        // SAFETY: the pointers are valid for the call, which keeps none of them.
        unsafe { proxy_get_property(path.as_ptr(), path.len(), value, size) }
    })
}

pub(super) fn set_property(path: &str, value: &[u8]) -> Result<(), HostError> {
    // SAFETY: as above.
    check(unsafe { proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) })
}

pub(super) fn get_header(map: Map, name: &str) -> Result<Option<Vec<u8>>, HostError> {
    receive(|value, size| {
        // SAFETY: as above.
        unsafe { proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), value, size) }
    })
}

pub(super) fn replace_header(map: Map, name: &str, value: &str) -> Result<(), HostError> {
    // SAFETY: as above.
    check(unsafe {
        proxy_replace_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

pub(super) fn add_header(map: Map, name: &[u8], value: &[u8]) -> Result<(), HostError> {
    // SAFETY: as above.
    check(unsafe {
        proxy_add_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

pub(super) fn remove_header(map: Map, name: &[u8]) -> Result<(), HostError> {
    // SAFETY: as above.
    check(unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
}

pub(super) fn call_foreign_function(name: &str) -> Result<Option<Vec<u8>>, HostError> {
    receive(|value, size| {
        // SAFETY: as above.
        unsafe {
            proxy_call_foreign_function(name.as_ptr(), name.len(), ptr::null(), 0, value, size)
        }
    })
}

/// All headers of a map, serialised as the ABI has them.
pub(super) fn get_headers(map: Map) -> Result<Option<Vec<u8>>, HostError> {
    receive(|value, size| {
        // SAFETY: as above.
        unsafe { proxy_get_header_map_pairs(map as u32, value, size) }
    })
}

pub(super) fn get_buffer(
    buffer: Buffer,
    start: usize,
    size: usize,
) -> Result<Option<Vec<u8>>, HostError> {
    receive(|value, actual| {
        // SAFETY: as above.
        unsafe { proxy_get_buffer_bytes(buffer as u32, start, size, value, actual) }
    })
}

/// The value with its cas; the value is empty where it was set to nothing.
pub(super) fn get_shared_data(key: &str) -> Result<Option<(Vec<u8>, u32)>, HostError> {
    let mut cas = 0;
    let value = receive(|value, size| {
        // SAFETY: as above.
        unsafe { proxy_get_shared_data(key.as_ptr(), key.len(), value, size, &raw mut cas) }
    })?;
    Ok(match value {
        Some(value) => Some((value, cas)),
        None if cas != 0 => Some((Vec::new(), cas)),
        None => None,
    })
}

/// A cas of zero overwrites.
pub(super) fn set_shared_data(key: &str, value: &[u8], cas: u32) -> Result<(), HostError> {
    // SAFETY: as above.
    check(unsafe {
        proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas)
    })
}

/// `headers` are serialised as the ABI has them.
pub(super) fn send_local_response(
    status: u16,
    details: &str,
    headers: &[u8],
    body: &[u8],
    grpc_status: i32,
) -> Result<(), HostError> {
    // SAFETY: as above.
    check(unsafe {
        proxy_send_local_response(
            status.into(),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc_status,
        )
    })
}

pub(super) fn set_effective_context(context: u32) -> Result<(), HostError> {
    // SAFETY: no pointers.
    check(unsafe { proxy_set_effective_context(context) })
}

pub(super) fn continue_stream(stream: Stream) -> Result<(), HostError> {
    // SAFETY: no pointers.
    check(unsafe { proxy_continue_stream(stream as u32) })
}

pub(super) fn monotonic_time() -> Result<u64, HostError> {
    let mut time = 0;
    // SAFETY: as above.
    check(unsafe { clock_time_get(MONOTONIC, 0, &raw mut time) })?;
    Ok(time)
}

pub(super) fn wall_time() -> Result<u64, HostError> {
    let mut time = 0;
    // SAFETY: as above.
    check(unsafe { proxy_get_current_time_nanoseconds(&raw mut time) })?;
    Ok(time)
}

pub(super) fn set_tick_period(millis: u32) -> Result<(), HostError> {
    // SAFETY: no pointers.
    check(unsafe { proxy_set_tick_period_milliseconds(millis) })
}

pub(super) fn define_metric(kind: u32, name: &str) -> Result<u32, HostError> {
    let mut id = 0;
    // SAFETY: as above.
    check(unsafe { proxy_define_metric(kind, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

pub(super) fn increment_metric(id: u32, by: i64) -> Result<(), HostError> {
    // SAFETY: no pointers.
    check(unsafe { proxy_increment_metric(id, by) })
}

pub(super) fn record_metric(id: u32, value: u64) -> Result<(), HostError> {
    // SAFETY: no pointers.
    check(unsafe { proxy_record_metric(id, value) })
}

pub(super) fn get_metric(id: u32) -> Result<u64, HostError> {
    let mut value = 0;
    // SAFETY: as above.
    check(unsafe { proxy_get_metric(id, &raw mut value) })?;
    Ok(value)
}

pub(super) fn log_level() -> Result<u32, HostError> {
    let mut level = 0;
    // SAFETY: as above.
    check(unsafe { proxy_get_log_level(&raw mut level) })?;
    Ok(level)
}

const fn check(status: u32) -> Result<(), HostError> {
    match status {
        OK => Ok(()),
        status => Err(HostError(status)),
    }
}

/// Takes bytes the host has allocated through the module's own `malloc`.
fn receive(
    call: impl FnOnce(*mut *mut u8, *mut usize) -> u32,
) -> Result<Option<Vec<u8>>, HostError> {
    let mut value = ptr::null_mut();
    let mut size = 0;
    match call(&raw mut value, &raw mut size) {
        OK if value.is_null() => Ok(None),
        // SAFETY: the SDK's `malloc` made this block of `size` bytes from the global allocator,
        // and the host has handed it over.
        OK => Ok(Some(unsafe { Vec::from_raw_parts(value, size, size) })),
        NOT_FOUND | EMPTY => Ok(None),
        status => Err(HostError(status)),
    }
}

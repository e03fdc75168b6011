//! Properties of a stream, as a guest reads them.

use super::stream::{Info, Stream};

/// `None` is a property that is not there: status NotFound.
pub fn read(stream: &Stream, path: &[u8]) -> Option<Vec<u8>> {
    if let Some(custom) = stream.info.custom.get(path) {
        return Some(custom.clone());
    }
    let path = std::str::from_utf8(path).ok()?;
    match path.split_once('\0') {
        Some(("xds", "cluster_name")) => stream.info.cluster.clone().map(String::into_bytes),
        Some(("request", name)) => request(stream, name),
        Some(("response", name)) => response(stream, name),
        Some(("upstream", name)) => upstream(&stream.info, name),
        Some(_) => None,
        // What the filter stored itself; a name of several segments is stored with its NULs and never found again.
        None => stream.filter_state.get(path.as_bytes()).cloned(),
    }
}

fn request(stream: &Stream, name: &str) -> Option<Vec<u8>> {
    let header = match name {
        "path" | "url_path" | "query" => ":path",
        "host" => ":authority",
        "scheme" => ":scheme",
        "method" => ":method",
        "referer" => "referer",
        "useragent" => "user-agent",
        "id" => "x-request-id",
        _ => return None,
    };
    let value = stream.readable(0)?.get(header)?.to_vec();
    let cut = value.iter().position(|byte| *byte == b'?');
    Some(match (name, cut) {
        ("url_path", Some(at)) => value[..at].to_vec(),
        ("query", at) => at.map_or_else(Vec::new, |at| value[at + 1..].to_vec()),
        _ => value,
    })
}

fn response(stream: &Stream, name: &str) -> Option<Vec<u8>> {
    match name {
        "code" => Some(number(u64::from(stream.info.code?))),
        "code_details" => stream.info.details.clone().map(String::into_bytes),
        "flags" => Some(number(stream.info.flags)),
        "grpc_status" => grpc_status(stream).map(number),
        _ => None,
    }
}

/// Filled for plain HTTP too, from the status: it says nothing about whether a reply is gRPC.
fn grpc_status(stream: &Stream) -> Option<u64> {
    let sent = [3, 2].into_iter().find_map(|map| stream.readable(map)?.text("grpc-status"));
    match sent {
        Some(sent) => sent.parse().ok(),
        None => stream.info.code.map(|code| u64::from(grpc_status_of(code))),
    }
}

/// The gRPC status for an HTTP status, by gRPC's own table.
pub fn grpc_status_of(code: u16) -> u32 {
    match code {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

fn upstream(info: &Info, name: &str) -> Option<Vec<u8>> {
    match name {
        "address" => info.upstream_address.clone().map(String::into_bytes),
        "request_attempt_count" => Some(number(info.attempts)),
        _ => None,
    }
}

fn number(value: u64) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

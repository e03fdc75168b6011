//! A cached reply as it was stored: the host adds to a reply of ours what its routes add to every
//! response, and the stored one had that already.

use crate::headers::HeaderMap;
use crate::host::Host;

/// Gives each header of a reply that is on its way just the values it was to have. A content type
/// is only there if it was.
pub(super) fn restore(host: Host, said: &HeaderMap) {
    let found = host.response_headers();
    if is_as_it_was(&found, said) {
        return;
    }
    let names = said.iter().map(|(name, _)| name).chain([&b"content-type"[..]]);
    let mut done: Vec<&[u8]> = Vec::with_capacity(said.count());
    for name in names {
        if done.contains(&name) {
            continue;
        }
        done.push(name);
        let of_name = |(known, value)| (known == name).then_some(value);
        let values = said.iter().filter_map(of_name);
        if !values.clone().eq(found.iter().filter_map(of_name)) {
            host.set_response_header(name, values);
        }
    }
}

/// Whether all that was said is there, in its order, and what else is there has other names.
fn is_as_it_was(found: &HeaderMap, said: &HeaderMap) -> bool {
    let mut expected = said.iter().peekable();
    found.iter().all(|header @ (name, _)| {
        expected.next_if_eq(&header).is_some() || (name != b"content-type" && !said.has(name))
    }) && expected.next().is_none()
}

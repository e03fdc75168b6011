//! A cached reply as it was stored: the host adds to a reply of ours what its routes add to every
//! response, and the stored one had that already.

use crate::host::Host;

/// Gives each header of a reply that is on its way just the values it was to have. A content type
/// is only there if it was.
pub(super) fn restore(host: Host, said: &[(String, String)]) {
    let found = host.response_headers();
    let names = said.iter().map(|(name, _)| name.as_str()).chain(["content-type"]);
    let mut done: Vec<&str> = Vec::with_capacity(said.len());
    for name in names {
        if done.contains(&name) {
            continue;
        }
        done.push(name);
        let values = said.iter().filter(|(known, _)| known == name).map(|(_, value)| value);
        let there = found.iter().filter(|(known, _)| known == name.as_bytes());
        if !values.clone().map(|value| value.as_bytes()).eq(there.map(|(_, value)| &**value)) {
            host.set_response_header(name, values);
        }
    }
}

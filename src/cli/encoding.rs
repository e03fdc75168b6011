//! What the first bytes of a file say of those that follow.

/// Some editors begin a file with it.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What a file is that holds no UTF-8.
pub(super) fn not_text(start: &[u8]) -> Option<&'static str> {
    match start {
        [0x1f, 0x8b, ..] => Some("gzip"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        _ => None,
    }
}

/// What something is that was given for a configuration, and is not taken as one.
pub(super) fn not_json(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(BYTE_ORDER_MARK) {
        return Some("begins with a byte order mark, expected JSON without one");
    }
    match not_text(bytes) {
        Some("gzip") => Some("is gzip, expected JSON as text"),
        Some(_) => Some("is UTF-16, expected JSON in UTF-8"),
        None if is_like_yaml(bytes) => {
            Some("is this Envoy's YAML? expected the plugin's configuration alone, as JSON")
        }
        None => None,
    }
}

fn is_like_yaml(bytes: &[u8]) -> bool {
    let begins_so = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'#' | b'-' | b'\'');
    bytes.trim_ascii_start().first().copied().is_some_and(begins_so) && bytes.contains(&b':')
}

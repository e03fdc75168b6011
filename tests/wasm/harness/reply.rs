//! A reply the filter makes itself, and what Envoy turns it into.

use super::headers::Headers;
use super::property::grpc_status_of;

/// What the guest asked to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalReply {
    pub status: u16,
    pub details: String,
    pub headers: Headers,
    pub body: Vec<u8>,
    pub grpc_status: i32,
}

impl LocalReply {
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.text(name)
    }

    /// Details end up in a log format that splits at spaces.
    pub fn shown_details(&self) -> String {
        self.details.replace(' ', "_")
    }

    /// Headers and body as they are sent to a client that speaks HTTP.
    pub fn as_http(&self, head_only: bool) -> (Headers, Vec<u8>) {
        let mut headers = Headers::new([(":status", self.status.to_string())]);
        for (name, value) in self.headers.iter() {
            headers.add(name, value);
        }
        if !self.body.is_empty() {
            headers.set("content-length", self.body.len().to_string().as_bytes());
            if headers.get("content-type").is_none() {
                headers.add("content-type", b"text/plain");
            }
        }
        (headers, if head_only { Vec::new() } else { self.body.clone() })
    }

    /// Trailers only: a gRPC reply has no body, what was one becomes the message.
    pub fn as_grpc(&self) -> Headers {
        let status =
            u32::try_from(self.grpc_status).unwrap_or_else(|_| grpc_status_of(self.status));
        let mut headers = Headers::new([(":status", "200"), ("content-type", "application/grpc")]);
        for (name, value) in self.headers.iter().filter(|(name, _)| *name != "content-type") {
            headers.add(name, value);
        }
        headers.set("grpc-status", status.to_string().as_bytes());
        if !self.body.is_empty() {
            headers.set("grpc-message", percent_encoded(&self.body).as_bytes());
        }
        headers
    }
}

fn percent_encoded(bytes: &[u8]) -> String {
    let encode = |byte: &u8| match byte {
        b' '..=b'~' if *byte != b'%' => (*byte as char).to_string(),
        _ => format!("%{byte:02X}"),
    };
    bytes.iter().map(encode).collect()
}

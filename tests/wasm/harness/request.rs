//! A request, before it is sent.

use std::collections::BTreeMap;

use super::headers::Headers;

#[derive(Clone, Debug)]
pub struct Request {
    pub headers: Headers,
    pub body: Body,
    pub cluster: Option<String>,
    pub reroutes_to: Option<String>,
    pub properties: BTreeMap<Vec<u8>, Vec<u8>>,
}

#[derive(Clone, Debug)]
pub enum Body {
    None,
    Whole(Vec<u8>),
    /// The test sends it, piece by piece.
    Pending,
}

pub fn get(path: &str) -> Request {
    request("GET", path)
}

pub fn head(path: &str) -> Request {
    request("HEAD", path)
}

pub fn put(path: &str) -> Request {
    request("PUT", path)
}

pub fn delete(path: &str) -> Request {
    request("DELETE", path)
}

pub fn post(path: &str, body: &str) -> Request {
    request("POST", path).body(body)
}

pub fn grpc(path: &str) -> Request {
    request("POST", path)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body("\0\0\0\0\0")
}

/// A request to the cluster `up`.
pub fn request(method: &str, path: &str) -> Request {
    let pseudo =
        [(":method", method), (":path", path), (":authority", "example.com"), (":scheme", "http")];
    Request {
        headers: Headers::new(pseudo),
        body: Body::None,
        cluster: Some("up".to_owned()),
        reroutes_to: None,
        properties: BTreeMap::new(),
    }
}

impl Request {
    /// Adds a header; pseudo headers are replaced.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        if name.starts_with(':') {
            self.headers.set(name, value.as_ref());
        } else {
            self.headers.add(name, value.as_ref());
        }
        self
    }

    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = Body::Whole(body.as_ref().to_vec());
        self
    }

    /// The body is on its way: see [`Exchange::sends`](super::exchange::Exchange::sends).
    pub fn body_to_come(mut self) -> Self {
        self.body = Body::Pending;
        self
    }

    pub fn to(mut self, cluster: &str) -> Self {
        self.cluster = Some(cluster.to_owned());
        self
    }

    /// No route, a direct response, an unknown cluster: the property is not there.
    pub fn without_cluster(mut self) -> Self {
        self.cluster = None;
        self
    }

    /// Where the request goes if the filter makes Envoy look for a route again.
    pub fn reroutes_to(mut self, cluster: &str) -> Self {
        self.reroutes_to = Some(cluster.to_owned());
        self
    }

    pub fn property(mut self, path: &[&str], value: impl AsRef<[u8]>) -> Self {
        self.properties.insert(path.join("\0").into_bytes(), value.as_ref().to_vec());
        self
    }
}

//! The only file of hostcalls. It implements the traits that the inner rooms declare and offers the
//! filter what else it needs; it takes no decision.

mod raw;

use std::time::Duration;

use log::LevelFilter;
use proxy_wasm::types::LogLevel;

use self::raw::{Buffer, Map, Stream};
use crate::clock::Clock;
use crate::config::Webhook;
use crate::headers::HeaderMap;
use crate::metrics::{Counters, Kind, MetricId};
use crate::reply::Reply;
use crate::store::{HostError, SharedData, Swapped, Token};
use crate::time::{Span, Timestamp};

/// The proxy that runs the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct Host;

/// Of a request or response.
impl Host {
    /// The upstream cluster the router has chosen, if any.
    pub fn cluster_name(self) -> Option<Vec<u8>> {
        raw::get_property("xds\0cluster_name").ok().flatten()
    }

    /// How the response came about.
    pub fn code_details(self) -> String {
        let details = raw::get_property("response\0code_details").ok().flatten();
        String::from_utf8_lossy(&details.unwrap_or_default()).into_owned()
    }

    /// How often the router has tried.
    pub fn attempts(self) -> u64 {
        let count = raw::get_property("upstream\0request_attempt_count").ok().flatten();
        count.and_then(|count| Some(u64::from_le_bytes(count.try_into().ok()?))).unwrap_or(0)
    }

    pub fn request_header(self, name: &str) -> Option<Vec<u8>> {
        raw::get_header(Map::RequestHeaders, name).ok().flatten()
    }

    pub fn response_header(self, name: &str) -> Option<Vec<u8>> {
        raw::get_header(Map::ResponseHeaders, name).ok().flatten()
    }

    /// All of the request's headers, in one call.
    pub fn request_headers(self) -> HeaderMap {
        header_map(Map::RequestHeaders)
    }

    /// All of the response's headers, in one call.
    pub fn response_headers(self) -> HeaderMap {
        header_map(Map::ResponseHeaders)
    }

    /// Of the request's body, as much as there is of `size` bytes from `start` on: of the chunk
    /// that is passing, or of all that has been held up.
    pub fn request_body(self, start: usize, size: usize) -> Vec<u8> {
        raw::get_buffer(Buffer::RequestBody, start, size).ok().flatten().unwrap_or_default()
    }

    /// The chunk of the response's body that is passing, `size` bytes long.
    pub fn response_chunk(self, size: usize) -> Vec<u8> {
        raw::get_buffer(Buffer::ResponseBody, 0, size).ok().flatten().unwrap_or_default()
    }

    /// Gives a response header these values and no others.
    pub fn set_response_header<'a>(self, name: &[u8], values: impl Iterator<Item = &'a [u8]>) {
        // Where the host refuses, the header stays as it is.
        let _ = raw::remove_header(Map::ResponseHeaders, name);
        for value in values {
            let _ = raw::add_header(Map::ResponseHeaders, name, value);
        }
    }

    pub fn response_trailer(self, name: &str) -> Option<Vec<u8>> {
        raw::get_header(Map::ResponseTrailers, name).ok().flatten()
    }

    /// Shown in access logs as `%FILTER_STATE(wasm.circuit_breaker:PLAIN)%`.
    pub fn set_filter_state(self, value: &str) {
        // An access log that lacks a field is no reason to do otherwise by the request.
        let _ = raw::set_property("circuit_breaker", value.as_bytes());
    }

    /// Sends the request where the route table says for a request whose filter state
    /// `wasm.circuit_breaker_route` has this value. `false` where the host refused.
    pub fn reroute_by_state(self, value: &str) -> bool {
        raw::set_property("circuit_breaker_route", value.as_bytes()).is_ok()
            && raw::call_foreign_function("clear_route_cache").is_ok()
    }

    /// Sends the request where the route table says for one with these headers: setting them makes
    /// the host look for a route again. `false` where it refused.
    pub fn reroute_by_headers(self, headers: &[(String, String)]) -> bool {
        let set = |(name, value): &(String, String)| {
            raw::replace_header(Map::RequestHeaders, name, value).is_ok()
        };
        headers.iter().all(set)
    }

    /// From here on the calls of this callback are about another stream. `false` where it is gone.
    pub fn turn_to(self, stream: u32) -> bool {
        raw::set_effective_context(stream).is_ok()
    }

    /// Lets a request pass that was held up.
    pub fn resume_request(self) {
        // Where the host refuses there is no request any more.
        let _ = raw::continue_stream(Stream::Request);
    }

    /// Answers the request. `false` where the host refused.
    pub fn send(self, reply: &Reply) -> bool {
        raw::send_local_response(
            reply.status,
            reply.details,
            &reply.headers.to_abi(),
            &reply.body,
            reply.grpc_status,
        )
        .is_ok()
    }
}

/// Of the plugin.
impl Host {
    /// The configuration, `size` bytes long.
    pub fn configuration(self, size: usize) -> Vec<u8> {
        raw::get_buffer(Buffer::PluginConfiguration, 0, size).ok().flatten().unwrap_or_default()
    }

    pub fn tick_every(self, millis: u32) -> Result<(), HostError> {
        raw::set_tick_period(millis)
    }

    /// Whether the host has a monotonic clock for us: a capability list may leave it out.
    pub fn check_clock(self) -> Result<(), HostError> {
        raw::monotonic_time().map(|_| ())
    }

    /// The time since the unix epoch, for what people read.
    pub fn wall(self) -> Span {
        Span::from_nanos(raw::wall_time().unwrap_or_default())
    }

    /// Logs no more than the host would print.
    pub fn adopt_log_level(self) {
        const LEVELS: [LogLevel; 6] = [
            LogLevel::Trace,
            LogLevel::Debug,
            LogLevel::Info,
            LogLevel::Warn,
            LogLevel::Error,
            LogLevel::Critical,
        ];
        let level = raw::log_level().ok().and_then(|level| LEVELS.get(level as usize));
        proxy_wasm::set_log_level(*level.unwrap_or(&LogLevel::Info));
    }

    /// Posts a JSON document, from a callback of the root context, and gives the token of the call.
    /// `None` where the host refused: the cluster is unknown, or has no hosts.
    #[allow(
        clippy::disallowed_methods,
        reason = "the SDK panics on the answer to a call that was not made through it; Envoy \
                  gives this one no status that the SDK does not expect"
    )]
    pub fn post(self, to: &Webhook, document: &[u8]) -> Option<u32> {
        let headers = vec![
            (":method", "POST"),
            (":path", &to.path),
            (":authority", &to.authority),
            ("content-type", "application/json"),
            ("user-agent", concat!("fusebox/", env!("CARGO_PKG_VERSION"))),
        ];
        let timeout = Duration::from_nanos(to.timeout.as_nanos());
        proxy_wasm::hostcalls::dispatch_http_call(
            &to.cluster,
            headers,
            Some(document),
            Vec::new(),
            timeout,
        )
        .ok()
    }

    /// The status that a call of our own was answered with, in the callback that tells of its end.
    pub fn call_status(self) -> Option<u16> {
        let status = raw::get_header(Map::CallResponseHeaders, ":status").ok().flatten()?;
        std::str::from_utf8(&status).ok()?.parse().ok()
    }

    pub fn logs_debug(self) -> bool {
        log::max_level() >= LevelFilter::Debug
    }
}

impl Clock for Host {
    fn monotonic(&self) -> Timestamp {
        // Zero is no time at all: the worker's clock stands still.
        Timestamp::from_nanos(raw::monotonic_time().unwrap_or_default())
    }
}

impl SharedData for Host {
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, Token)>, HostError> {
        Ok(raw::get_shared_data(key)?.and_then(|(bytes, cas)| Some((bytes, Token::new(cas)?))))
    }

    fn swap(&self, key: &str, bytes: &[u8], token: Token) -> Result<Swapped, HostError> {
        match raw::set_shared_data(key, bytes, token.get()) {
            Ok(()) => Ok(Swapped::Won),
            Err(HostError(raw::CAS_MISMATCH)) => Ok(Swapped::Lost),
            Err(error) => Err(error),
        }
    }

    /// The host takes any token but zero for a key that does not exist, and refuses a wrong one for
    /// a key that does. Its tokens count up from one: this is none of them.
    fn create(&self, key: &str, bytes: &[u8]) -> Result<Swapped, HostError> {
        self.swap(key, bytes, Token::MAX)
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), HostError> {
        raw::set_shared_data(key, bytes, 0)
    }
}

impl Counters for Host {
    fn define(&self, kind: Kind, name: &str) -> Option<MetricId> {
        let kind = match kind {
            Kind::Counter => 0,
            Kind::Gauge => 1,
        };
        raw::define_metric(kind, name).ok().map(MetricId)
    }

    fn increment(&self, id: MetricId, by: u64) {
        // A metric that is missing is no reason to do otherwise by the request.
        let _ = raw::increment_metric(id.0, i64::try_from(by).unwrap_or(i64::MAX));
    }

    fn set(&self, id: MetricId, value: u64) {
        let _ = raw::record_metric(id.0, value);
    }

    fn value(&self, id: MetricId) -> Option<u64> {
        raw::get_metric(id.0).ok()
    }
}

fn header_map(map: Map) -> HeaderMap {
    let bytes = raw::get_headers(map).ok().flatten();
    HeaderMap::from_abi(&bytes.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_host_every_call_is_an_error_and_none_a_panic() {
        assert_eq!(Host.get("k"), Err(HostError(12)));
        assert_eq!(Host.swap("k", b"", Token::MIN), Err(HostError(12)));
        assert_eq!(Host.cluster_name(), None);
        assert_eq!(Host.define(Kind::Gauge, "g"), None);
        assert!(Host.check_clock().is_err());
    }
}

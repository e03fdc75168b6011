//! Response flags, for logs without response code details.

/// What Envoy's details say where it sets a flag, as far as the upstream may have to do with it. The
/// first that is set decides.
const TABLE: [(&str, &str); 13] = [
    ("UF", "upstream_reset_before_response_started{remote_connection_failure}"),
    ("UC", "upstream_reset_after_response_started{connection_termination}"),
    ("UR", "upstream_reset_after_response_started{remote_reset}"),
    ("UPE", "upstream_reset_after_response_started{protocol_error}"),
    ("UH", "no_healthy_upstream"),
    ("UT", "response_timeout"),
    ("UMSDR", "upstream_max_stream_duration_reached"),
    ("DT", "duration_timeout"),
    ("SI", "stream_idle_timeout"),
    ("LR", "upstream_reset_before_response_started{local_reset}"),
    ("UO", "upstream_reset_before_response_started{overflow}"),
    ("DC", "downstream_remote_disconnect"),
    ("DR", "http2.remote_reset"),
];

/// Flags of requests that the upstream answered all the same: retried, or delayed on purpose.
const ANSWERED: [&str; 2] = ["URX", "DI"];

/// `response.code_details` as far as flags tell.
pub(super) fn details(flags: &str, status: Option<u16>) -> &'static str {
    let set = || flags.split(',').map(str::trim).filter(|flag| !flag.is_empty());
    let known = TABLE.iter().find(|(flag, _)| set().any(|it| it == *flag));
    match known {
        Some((_, details)) => details,
        None if status.is_some() && set().all(|flag| ANSWERED.contains(&flag)) => {
            crate::classify::VIA_UPSTREAM
        }
        // Envoy, another filter or the client.
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::Outcome;
    use crate::classify::Ending;
    use crate::config::Config;

    fn outcome(flags: &str, status: u16) -> Outcome {
        let status = Some(status).filter(|status| *status > 0);
        let ending = Ending {
            status,
            is_sent: true,
            is_complete: true,
            details: details(flags, status),
            ..Ending::default()
        };
        Config::parse(b"").unwrap().policy("any").classify.classify(&ending).outcome
    }

    #[test]
    fn flags_blame_whom_details_blame() {
        let failure = Outcome::Failure { reset: false };
        for (flags, status, expected) in [
            ("", 200, Outcome::Success),
            ("", 503, failure),
            ("DI", 200, Outcome::Success),
            ("URX", 503, failure),
            ("UF,URX", 503, failure),
            ("UH", 503, failure),
            ("UT", 504, failure),
            ("UC", 503, Outcome::Failure { reset: true }),
            ("UC", 101, Outcome::Success),
            ("UPE", 502, Outcome::Failure { reset: true }),
            ("UO", 503, Outcome::Ignored),
            ("LR", 503, Outcome::Ignored),
            ("DC", 0, Outcome::Ignored),
            ("", 0, Outcome::Ignored),
            ("NR", 404, Outcome::Ignored),
            ("RL", 429, Outcome::Ignored),
            ("FI", 503, Outcome::Ignored),
            ("UAEX", 403, Outcome::Ignored),
            ("NEW", 503, Outcome::Ignored),
        ] {
            assert_eq!(outcome(flags, status), expected, "{flags} {status}");
        }
    }
}

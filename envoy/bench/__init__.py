"""What a request costs with the filter, and with others in its place: CPU time of a real Envoy, and latency."""

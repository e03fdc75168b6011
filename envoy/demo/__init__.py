"""An outage to watch: a real Envoy with fusebox, an upstream that breaks and is repaired, and a client that keeps asking."""

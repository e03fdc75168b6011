"""A real Envoy, real clients, a real upstream: one file per behaviour. Short waits are configured, and nothing sleeps blindly."""

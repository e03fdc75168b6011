"""What the demo and the end-to-end tests stand on: a real Envoy and the upstream of ours, each a process on free ports."""

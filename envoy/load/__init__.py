"""A real Envoy with fusebox under many users (`python -m load`) and many requests (`python -m load.soak`)."""

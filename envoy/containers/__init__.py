"""docker-compose.yaml on a Docker engine: its images, and the story told by containers. Run by `make e2e-docker`."""

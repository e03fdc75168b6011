"""What a release has besides the module: its digest, its images and the list of what is in it. By `make release`."""

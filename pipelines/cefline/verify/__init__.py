"""What lies under a destination is read back, parsed, and compared with manifests and sources."""

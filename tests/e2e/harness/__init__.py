"""What the end-to-end tests stand on: real targets, the built binary, real clients. Nothing here fakes a peer."""

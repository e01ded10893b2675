"""The request/reply face of the daemon."""

"""Consumers of others, measured in the same run."""

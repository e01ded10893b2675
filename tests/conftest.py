"""Fixtures of all suites."""

from tests.servers.fixtures import aws_credentials, fauxqs, ministack, moto

__all__ = ["aws_credentials", "fauxqs", "ministack", "moto"]

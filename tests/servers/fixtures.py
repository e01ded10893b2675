"""The servers as fixtures, started when a test first asks for them, once a session."""

from collections.abc import Iterator

import pytest

from tests.servers.processes import CREDENTIALS, AwsServer, run_fauxqs, run_ministack, run_moto


@pytest.fixture(scope="session")
def aws_credentials() -> Iterator[None]:
    """Credentials that every server takes, in the environment, where the SDK looks first."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def ministack(aws_credentials: None) -> Iterator[AwsServer]:
    """A running ministack."""
    with run_ministack() as server:
        yield server


@pytest.fixture(scope="session")
def moto(aws_credentials: None) -> Iterator[AwsServer]:
    """A running moto."""
    with run_moto() as server:
        yield server


@pytest.fixture(scope="session")
def fauxqs(aws_credentials: None) -> Iterator[AwsServer]:
    """A running fauxqs; an error, never a skip, when it is not installed."""
    with run_fauxqs() as server:
        yield server

"""The servers as fixtures, started when a test first asks for them, once a session."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.kube_control_plane import find_assets, run_kubernetes
from tests.servers.processes import (
    CREDENTIALS,
    AwsServer,
    AzureServer,
    run_azurite,
    run_fauxqs,
    run_ministack,
    run_moto,
)


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


@pytest.fixture(scope="session")
def azurite() -> Iterator[AzureServer]:
    """A running Azurite; an error, never a skip, when it is not installed."""
    with run_azurite() as server:
        yield server


@pytest.fixture(scope="session")
def kube_assets() -> Path:
    """The folder with a control plane's binaries. None is a skip, unlike with other servers: they take long to build."""
    if (assets := find_assets()) is None:
        pytest.skip("KUBEBUILDER_ASSETS is not set")
    return assets


@pytest.fixture(scope="session")
def real_kubeconfig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A kubeconfig of an administrator of a real cluster, where pods behave as their annotations say (see `kubelet_pods`).

    It is the one that AGENTD_TEST_KUBECONFIG names, which several runs and workers can share, else that of a control plane
    that this session, or this worker of it, starts for itself. A skip when it has no binaries for one.
    """
    if given := os.environ.get("AGENTD_TEST_KUBECONFIG"):
        yield Path(given)
        return
    assets: Path = request.getfixturevalue("kube_assets")
    with run_kubernetes(tmp_path_factory.mktemp("kubernetes"), assets) as kubeconfig:
        yield kubeconfig

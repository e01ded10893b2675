"""Where the API server is, and as whom the agent speaks to it: from a kubeconfig, or from the pod's own service account.

The client library reads both; what it raises leaves here as the agent's own errors.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from agentd.core import AgentError, PermanentError, Reason, Runtime, TransientError
from agentd.platform.kubernetes.library import (
    ConfigException,
    Configuration,
    KubeConfigLoader,
    load_incluster_config,
    load_kube_config,
    load_kube_config_from_dict,
)
from agentd.telemetry import get_logger

log = get_logger("platform")

# Where Kubernetes mounts it. Source: "Accessing the Kubernetes API from a Pod".
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# How often credentials are looked at again that may change without notice, such as a token in a file: as client-go does.
_LOOK_AGAIN_S = 60.0
# What the library raises on a kubeconfig, or a plugin named in it, that is not as it should be: it checks little.
_UNUSABLE = (ConfigException, ValueError, TypeError, KeyError, AttributeError, AssertionError)
# How the library's complaints about a plugin begin: what it asks may be out of reach for the moment.
_PLUGIN = "exec: process returned"

Refresh = Callable[[Configuration], Awaitable[None]]


class Access(Protocol):
    """One way to reach an API server."""

    async def configuration(self) -> Configuration:
        """Address and credentials as they are now, with a hook that renews a token before it expires.

        Raises PermanentError when they cannot be used as they are, TransientError when they cannot be had right now.
        """
        ...


class InClusterAccess:
    """The service account of the pod that the agent runs in."""

    def __init__(self, runtime: Runtime, folder: Path = SERVICE_ACCOUNT) -> None:
        self._runtime = runtime
        self._files = {"token_filename": str(folder / "token"), "cert_filename": str(folder / "ca.crt")}

    async def configuration(self) -> Configuration:
        """See Access."""
        configuration = new_configuration()
        await self._read(configuration)
        keep_fresh(configuration, self._read, self._runtime)
        return configuration

    async def _read(self, configuration: Configuration) -> None:
        with _usable("the pod's service account"):
            load_incluster_config(configuration, try_refresh_token=False, **self._files)  # type: ignore[no-untyped-call]


class KubeconfigAccess:
    """A kubeconfig: client certificates, tokens, token files and plugins, as kubectl takes them."""

    def __init__(self, path: Path | None, context: str | None, runtime: Runtime) -> None:
        self._path = path
        self._context = context
        self._runtime = runtime

    async def configuration(self) -> Configuration:
        """See Access."""
        configuration = new_configuration()
        loader = await self._load(configuration)

        async def refresh(current: Configuration) -> None:
            nonlocal loader
            if not _is_plugin(loader):
                loader = await self._load(current)
                return
            # It runs again only when the token is within five minutes of its end.
            with _usable(self._name()):
                await loader.load_from_exec_plugin()
            current.api_key["BearerToken"] = loader.token

        if _changes(loader):
            keep_fresh(configuration, refresh, self._runtime)
        return configuration

    async def _load(self, configuration: Configuration) -> KubeConfigLoader:
        if self._path is not None and not self._path.is_file():
            raise PermanentError(Reason.INVALID_REQUEST, f"{self._name()} is not there")
        with _usable(self._name()):
            return await load_kube_config(
                config_file=None if self._path is None else str(self._path),
                context=self._context,
                client_configuration=configuration,
                persist_config=False,
            )

    def _name(self) -> str:
        return f"kubeconfig {self._path}" if self._path is not None else "the default kubeconfig"


def keep_fresh(configuration: Configuration, refresh: Refresh, runtime: Runtime) -> None:
    """Look every minute, before a call, whether the credentials are still the newest.

    Tokens end by the wall clock, so it is what counts here; after a jump they are looked at, too. When there are no new ones
    to be had, the old ones stay: the server has the last word on them.
    """
    looked_at = runtime.now()

    async def hook(current: Configuration) -> None:
        nonlocal looked_at
        now = runtime.now()
        if abs(now - looked_at) < _LOOK_AGAIN_S:
            return
        looked_at = now
        try:
            await refresh(current)
        except AgentError as error:
            log.warning("cluster.credentials_kept", reason=error.reason, error=error.message)

    configuration.refresh_api_key_hook = hook


async def bearer_configuration(name: str, *, server: str, authority_data: str, token: str) -> Configuration:
    """For a server that takes a token and has an authority of its own (PEM in base64). `name` is for errors."""
    configuration = new_configuration()
    kubeconfig: dict[str, Any] = {  # a kubeconfig's own shape
        "clusters": [
            {"name": "cluster", "cluster": {"server": server, "certificate-authority-data": authority_data}},
        ],
        "users": [{"name": "agent", "user": {"token": token}}],
        "contexts": [{"name": "context", "context": {"cluster": "cluster", "user": "agent"}}],
        "current-context": "context",
    }
    with _usable(name):
        await load_kube_config_from_dict(kubeconfig, client_configuration=configuration)
    return configuration


def new_configuration() -> Configuration:
    """An empty one. Certificates are checked as kubectl checks them.

    Python 3.13 would refuse authorities without some extensions that many clusters' own authorities lack.
    """
    configuration = Configuration()
    configuration.disable_strict_ssl_verification = True
    configuration.connection_pool_maxsize = 0  # no limit: calls have one of ours, and watches must not use it up
    return configuration


def _changes(loader: KubeConfigLoader) -> bool:
    """Whether a user's credentials may change while the kubeconfig stays as it is."""
    if _is_plugin(loader):
        return hasattr(loader, "exec_plugin_expiry")  # a token without an end is good until the server refuses it
    provider: Any = loader.provider  # the library declares None, and sets the name of an auth-provider
    return bool(provider) or "tokenFile" in _user(loader)


def _is_plugin(loader: KubeConfigLoader) -> bool:
    return "exec" in _user(loader) and hasattr(loader, "token")


def _user(loader: KubeConfigLoader) -> Any:  # noqa: ANN401 - the library's own node, which only tells what it contains
    user: Any = loader._user  # noqa: SLF001 - the library's own refresh reads it like this; there is no public way
    return user or {}


@contextmanager
def _usable(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TransientError(Reason.UNAVAILABLE, f"{name} cannot be used now: {error}") from error
    except _UNUSABLE as error:
        if isinstance(error, ConfigException) and str(error).startswith(_PLUGIN):
            raise TransientError(Reason.UNAVAILABLE, f"{name} cannot be used now: {error}") from error
        detail = f"{type(error).__name__}: {error}"
        raise PermanentError(Reason.INVALID_REQUEST, f"{name} cannot be used: {detail}") from error

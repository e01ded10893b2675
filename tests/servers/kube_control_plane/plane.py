"""Starting etcd, the API server, the controllers and the kubelet, each after what it needs."""

import asyncio
import base64
import json
import os
import ssl
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.kube_control_plane.certificates import Authority, KeyPair
from tests.servers.kube_control_plane.group import ProcessGroup
from tests.servers.kubelet_pods import NODE
from tests.servers.processes import ServerError, free_port

_BINARIES = ("etcd", "kube-apiserver", "kube-controller-manager")
_ISSUER = "https://kubernetes.default.svc"
_SERVICES = "10.96.0.0/16"
_PROBE_TIMEOUT_S = 5.0
# In the environment, where a version that does not know one of them passes over it.
_ETCD = {
    "ETCD_WATCH_PROGRESS_NOTIFY_INTERVAL": "5s",  # what the API server asks of every etcd
    "ETCD_UNSAFE_NO_FSYNC": "true",  # nobody reads the data after the machine crashed
}


def find_assets() -> Path | None:
    """The folder that KUBEBUILDER_ASSETS names, if it is set."""
    folder = os.environ.get("KUBEBUILDER_ASSETS")
    return Path(folder).absolute() if folder else None


@asynccontextmanager
async def real_kubernetes(
    folder: Path, assets: Path, *, controllers: bool = True, kubelet: bool = True
) -> AsyncIterator[Path]:
    """`run_kubernetes` without blocking the loop."""
    loop = asyncio.get_running_loop()
    # One thread: if the wait for the start is cancelled, the end still comes after it.
    with ThreadPoolExecutor(1, "kubernetes") as thread, ExitStack() as stack:
        plane = run_kubernetes(folder, assets, controllers=controllers, kubelet=kubelet)
        try:
            yield await loop.run_in_executor(thread, stack.enter_context, plane)
        finally:
            await loop.run_in_executor(thread, stack.close)


@contextmanager
def run_kubernetes(folder: Path, assets: Path, *, controllers: bool = True, kubelet: bool = True) -> Iterator[Path]:
    """A control plane of its own in a new folder; yields the path of a kubeconfig of a cluster administrator.

    It is up: the default namespace takes pods, and the node is there. Its binaries come from `make kube`.
    Without controllers nothing follows from what is written: no service accounts (pods need none then), no replicas, no end of
    a namespace. Without the kubelet pods stay pending, and pods that are bound to a node stay terminating.
    All processes end with the block, and with this process however that ends. The folder is left with their logs.
    """
    if missing := [name for name in _BINARIES if not os.access(assets / name, os.X_OK)]:
        raise ServerError(f"{assets} has no {' and no '.join(missing)}: run `make kube`")
    authority = Authority.new(folder / "pki")
    with ProcessGroup.open(folder) as group:
        etcd = f"http://127.0.0.1:{free_port()}"
        server = _Server(f"https://127.0.0.1:{free_port()}", authority, authority.client("admin", ["system:masters"]))
        tokens = authority.tokens()
        group.start("etcd", _etcd(assets, folder, etcd), _ETCD)
        group.start("kube-apiserver", _api_server(assets, server, etcd, tokens, accounts=controllers))
        group.wait("the API server", lambda: server.has("/readyz"))
        group.wait("the default namespace", lambda: server.has("/api/v1/namespaces/default"))
        kubeconfig = server.kubeconfig(folder / "kubeconfig", server.admin)
        if controllers:
            own = server.kubeconfig(
                folder / "kube-controller-manager.kubeconfig", authority.client("system:kube-controller-manager")
            )
            group.start("kube-controller-manager", _controllers(assets, authority, own, tokens))
        if kubelet:
            group.start("kubelet", [sys.executable, "-m", "tests.servers.kubelet", str(kubeconfig)])
        if controllers:
            account = "/api/v1/namespaces/default/serviceaccounts/default"
            group.wait("the default service account", lambda: server.has(account))
        if kubelet:
            group.wait("the kubelet", lambda: server.has(f"/api/v1/nodes/{NODE}"))
        yield kubeconfig


@dataclass(frozen=True, slots=True)
class _Server:
    """The API server, and who may do anything there."""

    url: str
    authority: Authority
    admin: KeyPair

    def has(self, path: str) -> bool:
        """Whether the path answers, and with success."""
        trust = ssl.create_default_context(cafile=str(self.authority.public))
        trust.load_cert_chain(self.admin.public, self.admin.private)
        try:
            with urllib.request.urlopen(self.url + path, timeout=_PROBE_TIMEOUT_S, context=trust):  # noqa: S310 - a fixed loopback URL
                return True
        except OSError:
            return False

    def kubeconfig(self, path: Path, user: KeyPair) -> Path:
        """Writes the user's kubeconfig, with all certificates in it: it can be copied, and mounted, alone."""
        cluster = {"server": self.url, "certificate-authority-data": _encoded(self.authority.public)}
        client = {"client-certificate-data": _encoded(user.public), "client-key-data": _encoded(user.private)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": "user", "user": client}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "user"}}],
            "current-context": "tests",
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(content, indent=1))
        return path


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _etcd(assets: Path, folder: Path, client: str) -> list[str]:
    peer = f"http://127.0.0.1:{free_port()}"
    return _command(
        assets / "etcd",
        {
            "name": "tests",
            "data-dir": str(folder / "etcd"),
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"tests={peer}",
        },
    )


def _api_server(assets: Path, server: _Server, etcd: str, tokens: KeyPair, *, accounts: bool) -> list[str]:
    own = server.authority.server("kube-apiserver")
    return _command(
        assets / "kube-apiserver",
        {
            "bind-address": "127.0.0.1",
            "advertise-address": "127.0.0.1",
            "secure-port": server.url.rpartition(":")[2],
            "endpoint-reconciler-type": "none",  # loopback is no address that the kubernetes service may have
            "etcd-servers": etcd,
            "authorization-mode": "RBAC",
            "client-ca-file": str(server.authority.public),
            "tls-cert-file": str(own.public),
            "tls-private-key-file": str(own.private),
            "service-account-issuer": _ISSUER,
            "service-account-key-file": str(tokens.public),
            "service-account-signing-key-file": str(tokens.private),
            "service-cluster-ip-range": _SERVICES,
            "allow-privileged": "true",
        }
        | ({} if accounts else {"disable-admission-plugins": "ServiceAccount"}),
    )


def _controllers(assets: Path, authority: Authority, kubeconfig: Path, tokens: KeyPair) -> list[str]:
    return _command(
        assets / "kube-controller-manager",
        {
            "kubeconfig": str(kubeconfig),
            "secure-port": "0",  # nobody scrapes it
            "leader-elect": "false",
            "use-service-account-credentials": "true",
            "service-account-private-key-file": str(tokens.private),
            "root-ca-file": str(authority.public),
            "flex-volume-plugin-dir": str(
                kubeconfig.parent / "volume-plugins"
            ),  # it makes one on the machine otherwise
            "kube-api-qps": "500",
            "kube-api-burst": "1000",
        },
    )


def _command(binary: Path, flags: Mapping[str, str]) -> list[str]:
    return [str(binary), *(f"--{name}={value}" for name, value in flags.items())]

"""A real Kubernetes control plane on loopback: etcd, API server, controllers, and a kubelet that only says it runs pods.

`python -m tests.servers.kube_control_plane` keeps one up, for several test runs to share.
"""

import os

from tests.servers.kube_control_plane.plane import find_assets, real_kubernetes, run_kubernetes

SERVERS = ["embedded", *(["real"] if os.environ.get("AGENTD_TEST_KUBECONFIG") or find_assets() else [])]
"""API servers that a suite runs on: a real one only where there is one, or what it takes to start one."""

__all__ = ["SERVERS", "find_assets", "real_kubernetes", "run_kubernetes"]

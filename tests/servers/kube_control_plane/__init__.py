"""A real Kubernetes control plane on loopback: etcd, API server, controllers, and a kubelet that only says it runs pods.

`python -m tests.servers.kube_control_plane` keeps one up, for several test runs to share.
"""

from tests.servers.kube_control_plane.plane import find_assets, real_kubernetes, run_kubernetes

__all__ = ["find_assets", "real_kubernetes", "run_kubernetes"]

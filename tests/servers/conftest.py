"""What is left out where there is no control plane to test: `make test-cluster` has one."""

from tests.servers.kube_control_plane import find_assets

collect_ignore = [] if find_assets() else ["test_kube_control_plane.py"]

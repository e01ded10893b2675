"""Part of the agent that runs inside Airflow, which imports it by this name into each of its processes.

A worker gets the bundle of its own task alone, and is who its project is. That keeps projects apart from each other's
mistakes; it is no wall, for the DAG processor reads all of them.
"""

import json
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

BUNDLES = "/opt/airflow/bundles/"


class BundlePackages:
    """Finds what is in a bundle's pkgs/ for whoever has its dags/ on the path.

    The DAG processor parses each file in a process of its own that has the file's bundle there, and no other one: two
    projects may have packages of the same name.
    """

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The protocol of `sys.meta_path`. Packages find their own modules by themselves."""
        if path is not None:
            return None
        places = [f"{place.removesuffix('/dags')}/pkgs" for place in sys.path if _is_dags(place)]
        return PathFinder.find_spec(name, places, target)


def pod_mutation_hook(pod: Any) -> None:
    """Called with every pod that Airflow is about to create, last of all. Raising fails the task."""
    bundle = _bundle(pod.spec.containers[0].args or ())
    if bundle is None:
        return
    own = f"{BUNDLES}{bundle}"
    mounts = [mount for mount in pod.spec.containers[0].volume_mounts or () if mount.mount_path.startswith(BUNDLES)]
    if own not in [mount.mount_path for mount in mounts]:
        raise LookupError(f"project {bundle} is not deployed")
    _without(pod.spec, {mount.name for mount in mounts if mount.mount_path != own})
    pod.spec.service_account_name = bundle.replace("_", ".")
    pod.spec.automount_service_account_token = False


def _bundle(args: Sequence[str]) -> str | None:
    """Which bundle a worker's task is from; None for a pod that is no worker."""
    if "--json-string" not in args[:-1]:
        return None
    workload = json.loads(args[args.index("--json-string") + 1])
    name: str = workload["bundle_info"]["name"]
    return name


def _without(spec: Any, volumes: set[str]) -> None:
    """Take volumes out of a pod, with whatever mounts them."""
    spec.volumes = [volume for volume in spec.volumes or () if volume.name not in volumes]
    spec.init_containers = [
        container
        for container in spec.init_containers or ()
        if not any(mount.name in volumes for mount in container.volume_mounts or ())
    ] or None
    for container in spec.containers:
        container.volume_mounts = [mount for mount in container.volume_mounts or () if mount.name not in volumes]


def _is_dags(place: str) -> bool:
    return place.startswith(BUNDLES) and place.endswith("/dags")


if BundlePackages not in sys.meta_path:
    sys.meta_path.append(BundlePackages)

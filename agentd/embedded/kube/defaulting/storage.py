"""Defaults of secrets, volumes and their claims."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from types import MappingProxyType

from agentd.embedded.kube.objects import Object


def _secret(item: Object) -> None:
    item.setdefault("type", "Opaque")
    plain = item.pop("stringData", None) or {}
    if plain:
        encoded = {name: b64encode(text.encode()).decode() for name, text in plain.items()}
        item["data"] = {**(item.get("data") or {}), **encoded}


def _claim(item: Object) -> None:
    item.setdefault("status", {}).setdefault("phase", "Pending")


def _claim_spec(spec: Object) -> None:
    spec.setdefault("volumeMode", "Filesystem")


def _volume(item: Object) -> None:
    item.setdefault("status", {}).setdefault("phase", "Pending")
    spec = item.setdefault("spec", {})
    spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
    spec.setdefault("volumeMode", "Filesystem")


def _storage_class(item: Object) -> None:
    item.setdefault("reclaimPolicy", "Delete")
    item.setdefault("volumeBindingMode", "Immediate")


def _driver(item: Object) -> None:
    spec = item.setdefault("spec", {})
    spec.setdefault("attachRequired", True)
    for name in ("podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"):
        spec.setdefault(name, False)
    spec.setdefault("fsGroupPolicy", "ReadWriteOnceWithFSType")
    spec.setdefault("volumeLifecycleModes", ["Persistent"])


STORAGE: Mapping[str, Callable[[Object], None]] = MappingProxyType(
    {
        "core.v1.Secret": _secret,
        "core.v1.PersistentVolumeClaim": _claim,
        "core.v1.PersistentVolumeClaimSpec": _claim_spec,
        "core.v1.PersistentVolume": _volume,
        "storage.v1.StorageClass": _storage_class,
        "storage.v1.CSIDriver": _driver,
    }
)

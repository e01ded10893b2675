"""Rules of config maps, secrets and volume claims."""

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from agentd.embedded.kube.objects import Object, child, dig
from agentd.embedded.kube.rules.common import check_frozen, check_immutable, check_keys, too_long
from agentd.embedded.kube.rules.rules import Rules
from agentd.embedded.kube.status import Cause, forbidden_field, required
from agentd.embedded.kube.world import World

_MOST_BYTES = 1024 * 1024
_TYPED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
        "kubernetes.io/dockercfg": (".dockercfg",),
        "kubernetes.io/tls": ("tls.crt", "tls.key"),
        "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    }
)
CLAIM_FINALIZER = "kubernetes.io/pvc-protection"


def _check_config_map(item: Object) -> Iterator[Cause]:
    yield from check_keys(child(item, "data"), "data")
    yield from check_keys(child(item, "binaryData"), "binaryData")
    if len(json.dumps([item.get("data"), item.get("binaryData")], ensure_ascii=False)) > _MOST_BYTES:
        yield too_long("[]", _MOST_BYTES)


def _check_config_map_kept(new: Object, live: Object) -> Iterator[Cause]:
    return check_frozen(new, live, ("data", "binaryData"))


def _check_secret(item: Object) -> Iterator[Cause]:
    data = child(item, "data")
    yield from check_keys(data, "data")
    if sum(len(value) * 3 // 4 for value in data.values()) > _MOST_BYTES:
        yield too_long("data", _MOST_BYTES)
    for name in _TYPED.get(item.get("type", ""), ()):
        if name not in data:
            yield required(f"data[{name}]")


def _check_secret_kept(new: Object, live: Object) -> Iterator[Cause]:
    yield from check_immutable(new, live, "type")
    yield from check_frozen(new, live, ("data",))


def _protect_claim(_world: World, claim: Object) -> None:
    claim["status"] = {"phase": "Pending"}
    finalizers = claim["metadata"].setdefault("finalizers", [])
    if CLAIM_FINALIZER not in finalizers:
        finalizers.append(CLAIM_FINALIZER)


def _check_claim(claim: Object) -> Iterator[Cause]:
    if not dig(claim, "spec", "accessModes"):
        yield required("spec.accessModes", "at least 1 access mode is required")
    if not dig(claim, "spec", "resources", "requests", "storage"):
        yield required("spec.resources[storage]")


def _check_claim_kept(new: Object, live: Object) -> Iterator[Cause]:
    free = ("resources", "volumeAttributesClassName", "volumeName")
    kept = [{name: value for name, value in item["spec"].items() if name not in free} for item in (new, live)]
    if kept[0] != kept[1]:
        yield forbidden_field(
            "spec",
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
        )


CONFIG_MAP_RULES = Rules(validate=_check_config_map, validate_update=_check_config_map_kept)
SECRET_RULES = Rules(validate=_check_secret, validate_update=_check_secret_kept)
CLAIM_RULES = Rules(prepare_create=_protect_claim, validate=_check_claim, validate_update=_check_claim_kept)

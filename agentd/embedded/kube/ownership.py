"""Who owns which field: managedFields after a write, and what an apply makes of the live object.

Source: server-side apply, as the API's reference describes it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from agentd.embedded.kube.objects import Json, Object, dig
from agentd.embedded.kube.schema import Type
from agentd.embedded.kube.status import ApiError, Cause, apply_conflict, bad_request, internal
from agentd.embedded.kube.typed import (
    FieldSet,
    Path,
    TypedError,
    check,
    compare,
    decode_fields,
    encode_fields,
    field_set,
    in_order,
    merge,
    shown_path,
    with_named_fields,
    without,
)

_MOST_UPDATERS = 10
_ANCIENT = "ancient-changes"
_BEFORE = "before-first-apply"
_METADATA = "f:metadata"
_NOBODYS = frozenset(
    {
        ("f:apiVersion",),
        ("f:kind",),
        (_METADATA,),
        *(
            (_METADATA, f"f:{name}")
            for name in (
                "clusterName",
                "creationTimestamp",
                "generation",
                "managedFields",
                "name",
                "namespace",
                "resourceVersion",
                "selfLink",
                "uid",
            )
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Manager:
    """Who writes, and how. An applier is the same whatever version it applies."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes two entries the same manager's."""
        version = "" if self.operation == "Apply" else self.api_version
        return (self.name, self.operation, version, self.subresource)

    def shown(self) -> str:
        """As conflict messages name it."""
        told = json.dumps(self.name)
        if self.subresource:
            told = f'{told} with subresource "{self.subresource}"'
        return f"{told} using {self.api_version}" if self.operation == "Update" else told


@dataclass(frozen=True, slots=True)
class _Claim:
    manager: Manager
    fields: FieldSet
    time: str


_Claims = dict[tuple[str, str, str, str], _Claim]


@dataclass(frozen=True, slots=True)
class Scope:
    """What of an object a write may own: `ignored` prefixes are somebody else's, whatever the write says."""

    type: Type
    ignored: tuple[Path, ...] = ()

    def own(self, fields: FieldSet) -> FieldSet:
        """Without what may not be owned."""
        if not self.ignored:
            return fields
        return frozenset(path for path in fields if not any(path[: len(prefix)] == prefix for prefix in self.ignored))


def updated(scope: Scope, live: Object, new: Object, manager: Manager, now: str) -> Object:
    """The new object with the managedFields that follow from a write by this manager that is not an apply."""
    claims = _claims_of(live, new, manager)
    new = _bare(new)
    difference = compare(scope.type, _bare(live), new)
    touched, removed = scope.own(difference.touched), scope.own(difference.removed)
    claims = {key: replace(claim, fields=claim.fields - touched - removed) for key, claim in claims.items()}
    mine = touched - _NOBODYS
    if mine:
        known = claims.get(manager.key)
        claims[manager.key] = _Claim(manager, mine | (known.fields if known else frozenset()), now)
    return _with_claims(new, _capped(claims))


def applied(scope: Scope, live: Object, config: Object, manager: Manager, now: str, *, force: bool) -> Object:
    """The live object after an apply, with its managedFields. ApiError for conflicts and undeclared fields."""
    if dig(config, "metadata", "managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    claims = _claims_of(live, None, manager)
    if not claims and live.get("metadata", {}).get("uid"):
        claims = _first_claims(scope, live, now)
    live = _bare(live)
    fields = _config_fields(scope, config)
    last = claims.get(manager.key)
    claims[manager.key] = _Claim(manager, scope.own(fields), last.time if last else now)
    merged = merge(scope.type, live, config)
    if last is not None and not last.fields <= fields:
        merged = _pruned(scope.type, merged, last.fields, claims)
    difference = compare(scope.type, live, merged)
    touched, removed = scope.own(difference.touched), scope.own(difference.removed)
    _settle(claims, manager, touched, removed, force=force)
    changed = live != merged or last is None or last.fields != claims[manager.key].fields - _NOBODYS
    mine = claims[manager.key]
    claims[manager.key] = replace(mine, fields=mine.fields - _NOBODYS, time=now if changed else mine.time)
    return _with_claims(merged, claims)


def same_but_times(one: Object, other: Object) -> bool:
    """Whether two states of an object differ in nothing but when its fields were written."""
    return _timeless(one) == _timeless(other)


def _settle(claims: _Claims, manager: Manager, touched: FieldSet, removed: FieldSet, *, force: bool) -> None:
    conflicts: list[tuple[Manager, Path]] = []
    for key, claim in claims.items():
        if key == manager.key:
            continue
        conflicts += [(claim.manager, path) for path in sorted(claim.fields & touched, key=in_order)]
        claims[key] = replace(claim, fields=claim.fields - touched - removed)
    if conflicts and not force:
        raise _conflict(conflicts)


def _conflict(conflicts: list[tuple[Manager, Path]]) -> ApiError:
    causes = [
        Cause("FieldManagerConflict", f"conflict with {manager.shown()}", shown_path(path))
        for manager, path in conflicts
    ]
    if len(conflicts) == 1:
        ((manager, path),) = conflicts
        return apply_conflict(
            f"Apply failed with 1 conflict: conflict with {manager.shown()}: {shown_path(path)}", causes
        )
    by_manager: dict[str, list[str]] = {}
    for manager, path in conflicts:
        by_manager.setdefault(manager.shown(), []).append(f"- {shown_path(path)}")
    lines = [line for name in sorted(by_manager) for line in (f"conflicts with {name}:", *by_manager[name])]
    return apply_conflict(f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines), causes)


def _config_fields(scope: Scope, config: Object) -> FieldSet:
    try:
        check(scope.type, config)
    except TypedError as error:
        meta = config.get("metadata") or {}
        group, _, version = str(config["apiVersion"]).rpartition("/")
        kind = f"{group}/{version}, Kind={config['kind']}" if group else f"/{version}, Kind={config['kind']}"
        place = f"{meta.get('namespace', '')}/{meta.get('name', '')}; {kind}"
        raise internal(f"failed to create typed patch object ({place}): {error}") from error
    return field_set(scope.type, config)


def _pruned(kind: Type, merged: Object, last: FieldSet, claims: _Claims) -> Object:
    """Takes out what the applier set last time and sets no more, unless somebody owns it."""
    named_last = with_named_fields(kind, last)
    kept = without(kind, merged, named_last)
    before = with_named_fields(kind, field_set(kind, merged))
    owned = with_named_fields(kind, frozenset().union(*(claim.fields for claim in claims.values())))
    after = with_named_fields(kind, field_set(kind, kept or {}))
    kept = without(kind, merged, before - (after | owned))
    after = with_named_fields(kind, field_set(kind, kept or {}))
    result: Object = without(kind, merged, (before - after) & named_last)
    return result


def _first_claims(scope: Scope, live: Object, now: str) -> _Claims:
    manager = Manager(_BEFORE, "Update", str(live["apiVersion"]))
    return {manager.key: _Claim(manager, field_set(scope.type, _bare(live)) - _NOBODYS, now)}


def _claims_of(live: Object, new: Object | None, manager: Manager) -> _Claims:
    """What is claimed so far. A client may write managedFields itself, but for those of a subresource."""
    entries = dig(live, "metadata", "managedFields") or []
    if new is not None and not manager.subresource:
        told = dig(new, "metadata", "managedFields")
        if told == [{}]:
            return {}
        entries = told or entries
    claims = [_decoded(entry) for entry in entries]
    return {claim.manager.key: claim for claim in claims}


def _decoded(entry: Mapping[str, Json]) -> _Claim:
    manager = Manager(entry.get("manager", ""), entry["operation"], entry["apiVersion"], entry.get("subresource", ""))
    return _Claim(manager, decode_fields(entry.get("fieldsV1")), entry.get("time", ""))


def _with_claims(item: Object, claims: _Claims) -> Object:
    entries = sorted(
        (claim for claim in claims.values() if claim.fields),
        key=lambda claim: (claim.manager.operation, claim.time, *claim.manager.key),
    )
    item = {**item, "metadata": dict(item.get("metadata") or {})}
    if entries:
        item["metadata"]["managedFields"] = [_encoded(claim) for claim in entries]
    return item


def _encoded(claim: _Claim) -> Object:
    manager = claim.manager
    told = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": manager.api_version,
        "time": claim.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": encode_fields(claim.fields),
        "subresource": manager.subresource,
    }
    return {key: value for key, value in told.items() if value != ""}


def _capped(claims: _Claims) -> _Claims:
    updaters = sorted((claim for claim in claims.values() if claim.manager.operation == "Update"), key=lambda c: c.time)
    surplus = len(updaters) - _MOST_UPDATERS
    if surplus <= 0:
        return claims
    oldest = updaters[: surplus + 1]
    kept = {key: claim for key, claim in claims.items() if claim not in oldest}
    for claim in oldest:
        ancient = Manager(_ANCIENT, "Update", claim.manager.api_version)
        known = kept.get(ancient.key)
        kept[ancient.key] = _Claim(ancient, claim.fields | (known.fields if known else frozenset()), claim.time)
    return kept


def _bare(item: Object) -> Object:
    if "managedFields" not in item.get("metadata", {}):
        return item
    meta = {key: value for key, value in item["metadata"].items() if key != "managedFields"}
    return {**item, "metadata": meta}


def _timeless(item: Object) -> Object:
    entries = [
        {key: value for key, value in entry.items() if key != "time"}
        for entry in dig(item, "metadata", "managedFields") or []
    ]
    entries.sort(key=lambda entry: json.dumps(entry, sort_keys=True))
    bare = _bare(item)
    return {**bare, "metadata": {**bare["metadata"], "managedFields": entries}}


__all__ = ["Manager", "Scope", "applied", "same_but_times", "updated"]

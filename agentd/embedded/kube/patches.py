"""Merge patch (RFC 7396) and strategic merge patch. Pure.

Source: the API's reference of strategic merge patch: merge keys, `$patch`, `$retainKeys`, `$deleteFromPrimitiveList`,
`$setElementOrder`.
"""

from agentd.embedded.kube.objects import Json, clone
from agentd.embedded.kube.schema import Field, Form, Type, any_of

_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_DELETE_PREFIX = "$deleteFromPrimitiveList/"
_ORDER_PREFIX = "$setElementOrder/"


class BadPatch(ValueError):
    """A patch that cannot be carried out."""


def merge_patched(value: Json, patch: Json) -> Json:
    """RFC 7396: null removes, maps merge, everything else replaces."""
    if not isinstance(patch, dict):
        return clone(patch)
    result = dict(value) if isinstance(value, dict) else {}
    for name, item in patch.items():
        if item is None:
            result.pop(name, None)
        else:
            result[name] = merge_patched(result.get(name), item)
    return result


def strategic_patched(kind: Type, value: Json, patch: Json) -> Json:
    """As merge patch, but lists with a merge key merge item by item. Raises BadPatch."""
    if not isinstance(patch, dict):
        return clone(patch)
    result = dict(value) if isinstance(value, dict) else {}
    match patch.get(_DIRECTIVE):
        case None:
            pass
        case "replace":
            return {name: clone(item) for name, item in patch.items() if name != _DIRECTIVE}
        case "delete":
            return {}
        case "merge":
            pass
        case unknown:
            raise BadPatch(f"unknown patch type: {unknown}")
    if _RETAIN in patch:
        result = {name: item for name, item in result.items() if name in patch[_RETAIN]}
    for name, item in patch.items():
        if not name.startswith("$"):
            _patch_field(kind, name, item, result)
    _delete_primitives(patch, result)
    _reorder(kind, patch, result)
    return result


def _patch_field(kind: Type, name: str, item: Json, result: dict[str, Json]) -> None:
    field = kind.fields.get(name)
    below = kind.field_type(name) or any_of(item)
    if item is None:
        result.pop(name, None)
    elif isinstance(item, dict):
        replaced = field is not None and "replace" in field.strategies
        result[name] = strategic_patched(below, {} if replaced else result.get(name), item)
    elif isinstance(item, list) and field is not None and "merge" in field.strategies:
        result[name] = _merged_list(field, below, result.get(name) or [], item)
    else:
        result[name] = clone(item)


def _merged_list(field: Field, kind: Type, items: list[Json], patch: list[Json]) -> list[Json]:
    element = kind.element or any_of({})
    if element.form is Form.SCALAR:
        return [*patch, *(item for item in items if item not in patch)]
    if any(isinstance(item, dict) and item.get(_DIRECTIVE) == "replace" for item in patch):
        return [clone(item) for item in patch if item.get(_DIRECTIVE) != "replace" or len(item) > 1]
    key = field.merge_key
    result = list(items)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise BadPatch(f"map: {item} does not contain declared merge key: {key}")
        places = [index for index, old in enumerate(result) if old.get(key) == item[key]]
        if item.get(_DIRECTIVE) == "delete":
            result = [old for old in result if old.get(key) != item[key]]
        elif places:
            result[places[0]] = strategic_patched(element, result[places[0]], item)
        else:
            result.append(strategic_patched(element, {}, item))
    return result


def _delete_primitives(patch: dict[str, Json], result: dict[str, Json]) -> None:
    for name, unwanted in patch.items():
        if name.startswith(_DELETE_PREFIX):
            target = name.removeprefix(_DELETE_PREFIX)
            result[target] = [item for item in result.get(target) or [] if item not in unwanted]


def _reorder(kind: Type, patch: dict[str, Json], result: dict[str, Json]) -> None:
    for name, order in patch.items():
        if not name.startswith(_ORDER_PREFIX):
            continue
        target = name.removeprefix(_ORDER_PREFIX)
        field, items = kind.fields.get(target), result.get(target)
        if field is None or not items:
            continue
        wanted = [item.get(field.merge_key) if isinstance(item, dict) else item for item in order]

        def place(item: Json, key: str = field.merge_key, wanted: list[Json] = wanted) -> int:
            identity = item.get(key) if isinstance(item, dict) else item
            return wanted.index(identity) if identity in wanted else len(wanted)

        result[target] = sorted(items, key=place)

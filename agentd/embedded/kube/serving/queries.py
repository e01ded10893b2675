"""Query parameters and headers of a request."""

from collections.abc import Mapping

from agentd.embedded.kube.objects import Json
from agentd.embedded.kube.reads import ListOptions, Selection
from agentd.embedded.kube.serving.targets import Target
from agentd.embedded.kube.status import Cause, bad_request, invalid, unsupported
from agentd.embedded.kube.watches import WatchOptions
from agentd.embedded.kube.writes import Call

_FALSE = ("false", "0")
_VALIDATIONS = ("Ignore", "Strict", "Warn")
_LONGEST_MANAGER = 128
_DEFAULT_TIMEOUT_S = 1800.0


def flag(query: Mapping[str, str], name: str) -> bool:
    """Whether a boolean parameter is set: anything but false and 0 sets it."""
    return name in query and query[name].lower() not in _FALSE


def read_call(target: Target, query: Mapping[str, str], user_agent: str) -> Call:
    """A request for one object. ApiError 400 or 422."""
    causes: list[Cause] = []
    dry_run = query.get("dryRun", "")
    if dry_run not in ("", "All"):
        causes.append(unsupported("dryRun", [dry_run], ["All"]))
    validation = query.get("fieldValidation") or "Warn"
    if validation not in _VALIDATIONS:
        causes.append(unsupported("fieldValidation", validation, ["", *_VALIDATIONS]))
    manager = query.get("fieldManager", "")
    if len(manager) > _LONGEST_MANAGER:
        causes.append(
            Cause("FieldValueTooLong", f"Too long: may not be more than {_LONGEST_MANAGER} bytes", "fieldManager")
        )
    if causes:
        raise invalid("meta.k8s.io", "CreateOptions", "", causes)
    return Call(
        kind=target.kind,
        namespace=target.namespace or "",
        name=target.name,
        subresource=target.subresource,
        manager=manager or user_agent.partition("/")[0][:_LONGEST_MANAGER] or "unknown",
        dry_run=bool(dry_run),
        field_validation=validation,
        force=flag(query, "force"),
    )


def read_selection(target: Target, query: Mapping[str, str]) -> Selection:
    """Which objects a list or a watch is of. ApiError 400."""
    fields = query.get("fieldSelector", "")
    if target.name:
        fields = ",".join(filter(None, (fields, f"metadata.name={target.name}")))
    return Selection.read(target.kind, target.namespace, query.get("labelSelector", ""), fields)


def read_list_options(query: Mapping[str, str]) -> ListOptions:
    """How much of a list. ApiError 400."""
    return ListOptions(
        limit=_number(query, "limit"),
        token=query.get("continue", ""),
        version=query.get("resourceVersion", ""),
        version_match=query.get("resourceVersionMatch", ""),
    )


def read_watch_options(query: Mapping[str, str]) -> WatchOptions:
    """How a watch is to be. ApiError 400."""
    version = query.get("resourceVersion", "")
    if version and not version.isdecimal():
        raise bad_request(f'Invalid value: "{version}": strconv.ParseUint: parsing "{version}": invalid syntax')
    return WatchOptions(
        version=version,
        version_match=query.get("resourceVersionMatch", ""),
        timeout_s=_number(query, "timeoutSeconds") or _DEFAULT_TIMEOUT_S,
        bookmarks=flag(query, "allowWatchBookmarks"),
        initial_events=flag(query, "sendInitialEvents") if "sendInitialEvents" in query else None,
    )


def delete_options_body(query: Mapping[str, str], body: Json) -> Json:
    """DeleteOptions from the body, or else from the query."""
    if body:
        return body
    grace = query.get("gracePeriodSeconds")
    return {
        "gracePeriodSeconds": None if grace is None else _number(query, "gracePeriodSeconds"),
        "propagationPolicy": query.get("propagationPolicy"),
        "orphanDependents": flag(query, "orphanDependents") if "orphanDependents" in query else None,
        "dryRun": [query["dryRun"]] if query.get("dryRun") else [],
    }


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name) or "0"
    try:
        return int(text)
    except ValueError as error:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from error

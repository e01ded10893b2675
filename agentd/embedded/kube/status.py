"""Errors as the API gives them: a Status with reason, details and causes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from agentd.embedded.kube.objects import Object


@dataclass(frozen=True, slots=True)
class Cause:
    """One rule that a field breaks. `reason` is a CauseType of the API: FieldValueRequired, FieldValueInvalid, ..."""

    reason: str
    message: str
    field: str

    def shown(self) -> Object:
        """As in Status.details.causes."""
        told = {"reason": self.reason, "message": self.message, "field": self.field}
        return {name: value for name, value in told.items() if value}


@dataclass(frozen=True, slots=True)
class Details:
    """What the error is about. `kind` is the kind for validation errors and the resource for all others."""

    name: str = ""
    group: str = ""
    kind: str = ""
    uid: str = ""
    causes: Sequence[Cause] = field(default_factory=tuple)
    retry_after_s: int = 0

    def shown(self) -> Object:
        """As in Status.details: what is empty is left out."""
        told: Object = {
            "name": self.name,
            "group": self.group,
            "kind": self.kind,
            "uid": self.uid,
            "causes": [cause.shown() for cause in self.causes],
            "retryAfterSeconds": self.retry_after_s,
        }
        return {key: value for key, value in told.items() if value}


class ApiError(Exception):
    """An answer that is not a success."""

    def __init__(self, code: int, reason: str, message: str, details: Details | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def status(self) -> Object:
        """The body."""
        body: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details.shown()
        return {**body, "code": self.code}


def qualified(resource: str, group: str) -> str:
    """deployments.apps, or pods in the core group."""
    return f"{resource}.{group}" if group else resource


def not_found(group: str, resource: str, name: str) -> ApiError:
    """There is no object of that name."""
    message = f'{qualified(resource, group)} "{name}" not found'
    return ApiError(HTTPStatus.NOT_FOUND, "NotFound", message, Details(name, group, resource))


def already_exists(group: str, resource: str, name: str) -> ApiError:
    """There is an object of that name."""
    message = f'{qualified(resource, group)} "{name}" already exists'
    return ApiError(HTTPStatus.CONFLICT, "AlreadyExists", message, Details(name, group, resource))


def conflict(group: str, resource: str, name: str, why: str) -> ApiError:
    """The object is not as the request expects."""
    message = f'Operation cannot be fulfilled on {qualified(resource, group)} "{name}": {why}'
    return ApiError(HTTPStatus.CONFLICT, "Conflict", message, Details(name, group, resource))


def apply_conflict(message: str, causes: Sequence[Cause]) -> ApiError:
    """Somebody else owns fields that an apply would change."""
    return ApiError(HTTPStatus.CONFLICT, "Conflict", message, Details(causes=causes))


def forbidden(group: str, resource: str, name: str, why: str, causes: Sequence[Cause] = ()) -> ApiError:
    """Admission refuses it."""
    subject = f'{qualified(resource, group)} "{name}"' if name else qualified(resource, group)
    details = Details(name, group, resource, causes=causes)
    return ApiError(HTTPStatus.FORBIDDEN, "Forbidden", f"{subject} is forbidden: {why}", details)


def invalid(group: str, kind: str, name: str, causes: Sequence[Cause]) -> ApiError:
    """The object breaks rules."""
    told = [f"{cause.field}: {cause.message}" for cause in causes]
    listed = told[0] if len(told) == 1 else f"[{', '.join(dict.fromkeys(told))}]"
    message = f'{qualified(kind, group)} "{name}" is invalid: {listed}'
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid", message, Details(name, group, kind, causes=causes))


def bad_request(message: str) -> ApiError:
    """The request cannot be read."""
    return ApiError(HTTPStatus.BAD_REQUEST, "BadRequest", message)


def internal(message: str) -> ApiError:
    """What the real server answers with 500, spelled as it spells it."""
    return ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "", message)


def expired(message: str) -> ApiError:
    """A revision that is no longer kept."""
    return ApiError(HTTPStatus.GONE, "Expired", message)


def method_not_allowed() -> ApiError:
    """The resource does not have the verb."""
    message = "the server does not allow this method on the requested resource"
    return ApiError(HTTPStatus.METHOD_NOT_ALLOWED, "MethodNotAllowed", message, Details())


def unknown_path() -> ApiError:
    """No such resource."""
    return ApiError(HTTPStatus.NOT_FOUND, "NotFound", "the server could not find the requested resource", Details())


def required(path: str, detail: str = "") -> Cause:
    """A field that has to be there."""
    return Cause("FieldValueRequired", f"Required value{f': {detail}' if detail else ''}", path)


def wrong(path: str, value: object, detail: str) -> Cause:
    """A field with a value that breaks a rule."""
    return Cause("FieldValueInvalid", f"Invalid value: {shown_value(value)}: {detail}", path)


def unsupported(path: str, value: object, supported: Sequence[str]) -> Cause:
    """A field with a value outside its enumeration."""
    listed = ", ".join(f'"{item}"' for item in supported)
    return Cause("FieldValueNotSupported", f"Unsupported value: {shown_value(value)}: supported values: {listed}", path)


def duplicate(path: str, value: object) -> Cause:
    """A value that may occur once."""
    return Cause("FieldValueDuplicate", f"Duplicate value: {shown_value(value)}", path)


def forbidden_field(path: str, detail: str) -> Cause:
    """A field that may not be there, or may not change."""
    return Cause("FieldValueForbidden", f"Forbidden: {detail}", path)


def shown_value(value: object) -> str:
    """A value as messages show it: strings quoted, null and the rest as in JSON."""
    if value is None:
        return "null"
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

"""Events and deliveries, made by hand. Numbers stand for ids, so that a test can be read."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from agentd.core import Delivery, Subject
from agentd.events import (
    Audience,
    BuildCleanup,
    EventData,
    PackageCreate,
    ProjectCreate,
    ProjectDelete,
    encode,
    moment,
)
from tests.virtual_time import START

Json = dict[str, Any]  # the data of an event, in its own shape


def uuid(number: int) -> str:
    """An id that tells its number."""
    return str(UUID(int=number, version=4))


AUDIENCE = Audience(tenant_id=uuid(91), cluster_id=uuid(92))
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def project(number: int) -> Subject:
    """A project."""
    return Subject("project", uuid(number))


def key(number: int) -> str:
    """The ledger's key of an event."""
    return f"event/{uuid(number)}"


def when(seconds: float) -> str:
    """A time, in seconds after the test's beginning, as an envelope has it."""
    return moment(START + seconds).isoformat()


def event(data_class: type[EventData], number: int, data: Mapping[str, Any] | None, **attributes: Any) -> str:
    """A CloudEvent. `attributes` replace those of the envelope; None leaves one out."""
    kind = data_class.kind()
    envelope = {
        "specversion": "1.0",
        "id": uuid(number),
        "source": "https://control-plane.example",
        "type": data_class.type,
        "subject": None if data is None else f"{kind}/{data[f'{kind}_id']}",
        "time": when(0),
        "tenantid": AUDIENCE.tenant_id,
        "clusterid": AUDIENCE.cluster_id,
        "generation": 1,
        "traceparent": TRACEPARENT,
    }
    return encode({**envelope, **attributes}, data)


def create(number: int, *, of: int = 1, name: str | None = None, **attributes: Any) -> str:
    """project.create number so-and-so, of project `of`."""
    data: Json = {"project_id": uuid(of), "project_name": name or f"project-{of}"}
    return event(ProjectCreate, number, data, **attributes)


def delete(number: int, *, of: int = 1, name: str | None = None, **attributes: Any) -> str:
    """project.delete."""
    return event(ProjectDelete, number, {"project_id": uuid(of), "project_name": name or f"project-{of}"}, **attributes)


def package(number: int, *, of: int = 1, **attributes: Any) -> str:
    """package.create."""
    return event(PackageCreate, number, {"package_id": uuid(of), "package_name": f"package-{of}"}, **attributes)


def cleanup(number: int, *, build: int, of: int = 1, **attributes: Any) -> str:
    """build.cleanup of a build of project `of`."""
    data = {"build_id": uuid(build), "project_id": uuid(of), "project_name": f"project-{of}"}
    return event(BuildCleanup, number, data, **attributes)


def delivery(text: str, *, message_id: str = "m-1", at_s: float = 0.0, **more: Any) -> Delivery:
    """A first delivery of a message, received `at_s` seconds after the test's beginning."""
    return Delivery(message_id=message_id, body=text, received_at=START + at_s, queue="commands", **more)

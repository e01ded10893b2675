"""The events that the benchmarks send: valid ones, of the real catalogue, as a control plane would write them."""

from collections.abc import Iterator, Sequence
from uuid import UUID

from agentd.cli.control_plane import event
from agentd.events import EventData, ProjectCreate

_VERSION_4 = 4


def identity(number: int, *, kind: int = 0) -> str:
    """A UUID for a number; another one for each kind."""
    return str(UUID(int=(kind << 96) | number, version=_VERSION_4))


def projects(numbers: range) -> Sequence[str]:
    """One create for each project: an event on a subject of its own, with a name to reserve."""
    return [event(project(number), 1, event_id=identity(number, kind=2)) for number in numbers]


def project(number: int) -> EventData:
    """The data of a project's create."""
    return ProjectCreate(project_id=identity(number, kind=1), project_name=f"project-{number}")


def batches(size: int, first: int = 0) -> Iterator[range]:
    """Ranges of numbers that follow one another, without end."""
    while True:
        yield range(first, first + size)
        first += size

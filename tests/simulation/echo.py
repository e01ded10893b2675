"""Newer generations of what is there already: they must change nothing."""

from collections.abc import Iterator, Mapping
from typing import Any

from agentd.events import EnvironmentUpdate, EventData
from tests.simulation.model import SubjectModel
from tests.simulation.plan import Intent
from tests.simulation.scene import Scene
from tests.simulation.story import echo_of

Json = Any  # a JSON value, in the shape of its own event


def echoes(scene: Scene) -> list[Intent]:
    """For each subject that is as it was wanted: the same once more, one generation later."""
    found = []
    for subject, model in scene.book.models.items():
        grants = [grant.intent for grant in scene.book.grants if grant.subject == subject]
        last = next((intent for intent in reversed(grants) if intent.data_class.facets), None)
        if last is not None and scene.succeeded(last) and not last.data_class.deletes:
            found += [
                echo_of(intent, data_class, data, generation=model.generation() + 1, at_s=scene.now)
                for intent, data_class, data in _again(scene, subject.partition("/")[0], model)
            ]
    return found


def _again(
    scene: Scene, kind: str, model: SubjectModel
) -> Iterator[tuple[Intent, type[EventData], Mapping[str, Json]]]:
    """Whom to ask again, and how."""
    match kind:
        case "project" | "package":
            newest = model.newest("config" if kind == "project" else "spec")
            if newest is not None and not newest.data_class.deletes and scene.succeeded(newest):
                yield newest, newest.data_class, newest.data
        case "environment":
            newest, spec = model.newest("existence"), model.desired().get("spec")
            if newest is not None and not newest.data_class.deletes and scene.succeeded(newest) and spec is not None:
                own = {key: newest.data[key] for key in ("environment_id", "environment_name")}
                yield newest, EnvironmentUpdate, {**own, "spec": spec}

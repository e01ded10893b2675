"""The base of every event's data, and the names that they share. Names and limits are those of the product."""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agentd.core import Lock, Subject

# Kubernetes names and label values that carry a project's name have room for 63 characters.
ProjectName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9]+([-_][a-z0-9]+)*$", min_length=2, max_length=63),
    Field(examples=["team-orders"]),
]
PackageName = ProjectName
IdentityTemplate = Annotated[str, StringConstraints(min_length=1, max_length=2048)]


class EventData(BaseModel):
    """The base of every event's `data`. Types are strict; unknown fields of a known version are ignored."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="ignore", use_attribute_docstrings=True, cache_strings="keys"
    )

    type: ClassVar[str]
    """The CloudEvents type."""
    facets: ClassVar[frozenset[str]] = frozenset()
    """What the event replaces of its subject. Empty for a command: it is never superseded."""
    requires: ClassVar[frozenset[str]] = frozenset()
    """Facets of which something must be desired before: the event waits for what creates its subject."""
    creates: ClassVar[bool] = False
    """Whether the event brings its subject into being (and back after a delete)."""
    deletes: ClassVar[bool] = False
    """Whether the event ends its subject; it then covers every facet and pre-empts what runs."""

    reconciles: ClassVar[bool] = False
    """Whether the event brings its subject to what is desired of it already, whole. Then it has `about`."""

    plan: bool = False
    """A dry run: nothing is written, the report says what would be."""

    @classmethod
    @cache
    def kind(cls) -> str:
        """The kind of subject, the second word of the type."""
        return cls.type.split(".")[1]

    @classmethod
    def about(cls, subject: Subject, names: Mapping[str, str]) -> Self:
        """The event's data for a subject that has these names, by their kinds. KeyError: it has not the one that is needed."""
        raise NotImplementedError(f"{cls.type} does not reconcile {subject}, {names}")

    def own_id(self) -> tuple[str, str]:
        """The field that repeats the subject's uuid, and its value."""
        field = f"{self.kind()}_id"
        return field, getattr(self, field)

    def names(self) -> tuple[tuple[str, str], ...]:
        """The (kind, name) pairs that belong to the subject for as long as it lives."""
        return ()

    def locks(self) -> tuple[Lock, ...]:
        """Other subjects that must not change, or not be read, meanwhile."""
        return ()

    def flow(self) -> str | None:
        """The `<kind>/<uuid>` of the environment or project whose share of the running places it uses; None: its subject's."""
        return None

    def desired(self) -> dict[str, Any]:  # JSON by facet, whose shapes are the event's own
        """What the ledger keeps as the subject's desired state, by facet."""
        return dict.fromkeys(self.facets, self.model_dump(mode="json", exclude={"plan"}))

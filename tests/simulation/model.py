"""How a subject should come to be, as a small model that knows nothing of the agent's code but what events say.

The newest generation of each facet counts, in whatever order events come: in the end everything is as if they had come in
order. So a delete ends what is wanted up to its own generation, and so does a create that brings its subject back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.plan import Intent

Json = Any  # a JSON value, in the shape of its own facet


@dataclass(frozen=True, slots=True)
class Wish:
    """What a facet should be, by whom. `desired` is None once nothing is wanted of it."""

    intent: Intent
    desired: Json

    @property
    def generation(self) -> int:
        return self.intent.generation


@dataclass(slots=True)
class SubjectModel:
    """One subject. `deleted` is the newest delete that was claimed, `tombstone` the newest that succeeded."""

    facets: dict[str, Wish] = field(default_factory=dict)
    deleted: Intent | None = None
    tombstone: Intent | None = None

    def generation(self) -> int:
        """The newest that was claimed."""
        return max(
            [wish.generation for wish in self.facets.values()] + [self.deleted.generation if self.deleted else 0]
        )

    def desired(self) -> Mapping[str, Json]:
        """What is wanted of each facet of which anything is."""
        return {name: wish.desired for name, wish in sorted(self.facets.items()) if wish.desired is not None}

    def newest(self, facet: str) -> Intent | None:
        """Who has claimed a facet last, a delete included."""
        wish, deleted = self.facets.get(facet), self.deleted
        if wish is None or (deleted is not None and deleted.generation > wish.generation):
            return deleted if deleted is not None or wish is None else wish.intent
        return wish.intent

    def refusal(self, intent: Intent) -> str | None:
        """Why a claim must not be granted; None when it may."""
        claimed = [self.newest(facet) for facet in sorted(intent.data_class.facets)]
        standing = [one for one in claimed if one is not None]
        if standing and len(standing) == len(claimed) and all(one.generation > intent.generation for one in standing):
            return "all that it asks for has been asked for anew"
        if intent.data_class.deletes:
            standing = [*(wish.intent for wish in self.facets.values()), *([self.deleted] if self.deleted else [])]
        for one in standing:
            if one.generation == intent.generation and one.event_id != intent.event_id:
                return f"its generation was claimed by {one.event_id[:8]}"
        if self.tombstone and not (intent.data_class.creates and intent.generation > self.tombstone.generation):
            return f"its subject was deleted at generation {self.tombstone.generation}"
        missing = intent.data_class.requires - self.desired().keys()
        return f"nothing is known yet of its {min(missing)}" if missing else None

    def claim(self, intent: Intent, desired: Mapping[str, Json]) -> None:
        """A claim is granted."""
        if intent.data_class.creates and self.tombstone is not None:
            self._forget(intent.generation)
        for facet in sorted(intent.data_class.facets):
            newest = self.newest(facet)
            if newest is None or newest.generation <= intent.generation:
                before = self.facets.get(facet)
                kept = before.desired if before and intent.data_class.deletes else desired.get(facet)
                self.facets[facet] = Wish(intent, kept)
        if intent.data_class.creates:
            self.tombstone = None
        if intent.data_class.deletes and (self.deleted is None or self.deleted.generation <= intent.generation):
            self.deleted = intent

    def end_delete(self, intent: Intent) -> None:
        """A delete has succeeded: of everything up to its generation nothing is wanted any more."""
        self.tombstone = intent
        self._forget(intent.generation)

    def _forget(self, generation: int) -> None:
        for facet, wish in self.facets.items():
            if wish.generation <= generation:
                self.facets[facet] = Wish(wish.intent, None)

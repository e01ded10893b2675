"""Everything that the server knows, and what it takes from outside: time, randomness and its settings."""

from collections import Counter
from dataclasses import dataclass, field

from agentd.core import Runtime
from agentd.embedded.kube.kinds import Kinds
from agentd.embedded.kube.objects import micro_timestamp, timestamp
from agentd.embedded.kube.store import Store

_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH = 5


@dataclass(frozen=True, slots=True)
class KubeSettings:
    """How the simulated parts behave."""

    pod_start_s: float = 0.05
    """From a pod's creation to its containers running: long enough to be seen pending, short enough for tests."""
    node: str = "embedded"
    """Name of the one node."""
    kept_changes: int = 4096
    """Changes of each resource that a watch can resume from: etcd keeps five minutes' worth."""


@dataclass(frozen=True, slots=True)
class Denial:
    """What the caller may not do, as access reviews answer and requests feel. An empty field stands for anything."""

    verb: str = ""
    group: str | None = None
    resource: str = ""
    subresource: str | None = None
    namespace: str = ""
    name: str = ""

    def meets(self, attributes: "Denial") -> bool:
        """Whether a request is one of those."""
        return all(
            (
                self.verb in ("", "*", attributes.verb),
                self.group in (None, "*", attributes.group),
                self.resource in ("", "*", attributes.resource),
                self.subresource in (None, "*", attributes.subresource or ""),
                self.namespace in ("", attributes.namespace),
                self.name in ("", attributes.name),
            )
        )


@dataclass(slots=True)
class World:
    """One server's state."""

    runtime: Runtime
    settings: KubeSettings = field(default_factory=KubeSettings)
    kinds: Kinds = field(default_factory=Kinds)
    denials: list[Denial] = field(default_factory=list)
    store: Store = field(init=False)
    _numbers: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.store = Store(self.settings.kept_changes)

    def now(self) -> str:
        """The time as objects carry it."""
        return timestamp(self.runtime.now())

    def now_micro(self) -> str:
        """The same with microseconds."""
        return micro_timestamp(self.runtime.now())

    def suffix(self) -> str:
        """What is put behind a generateName."""
        return "".join(self.runtime.random.choice(_SUFFIX_LETTERS) for _ in range(_SUFFIX_LENGTH))

    def next_number(self, of: str) -> int:
        """1, 2, 3, ... for each thing that is numbered."""
        self._numbers[of] += 1
        return self._numbers[of]

"""What the server makes of a write follows from the object, the request and the time: it has not to be worked out twice.

Between two runs the same objects differ in ids, generations, versions and times. These are opaque to the server, but for the
order of times, so they are taken out of the question before it is looked up, and put into the answer.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import chain

from agentd.embedded.kube.objects import ObjectView, dig, labels_of
from agentd.platform import keys

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Question:
    """A write that was asked for. `meant` is all that matters beside the object, the document and the time."""

    meant: str
    document: bytes
    now: str
    uid: str
    """Of the object, also if the write is what makes it."""
    said: ObjectView = field(default_factory=dict)
    """The document, where it is of the shape of an object."""
    live: ObjectView = field(default_factory=dict)
    encoded: bytes = b""
    """The live object as the server shows it."""

    def names(self) -> Sequence[bytes]:
        """Everything opaque in it, in an order that tells the order of the times."""
        return list(dict.fromkeys(self._names()))

    def key(self, names: Sequence[bytes]) -> bytes:
        """The same for questions that differ in nothing else."""
        whole = b"\1".join((self.meant.encode(), self.now.encode(), self.encoded, self.document))
        return blake2b(_without(whole, names), digest_size=16).digest()

    def _names(self) -> Iterator[bytes]:
        version = dig(self.live, "metadata", "resourceVersion") or ""
        yield f'"resourceVersion":"{version}"'.encode()
        yield f'"/metadata/resourceVersion","value":"{version}"'.encode()
        yield self.uid.encode()
        for value in chain(labels_of(self.live).values(), labels_of(self.said).values()):
            if value and _UUID.fullmatch(value):  # a merge patch removes a label by null
                yield value.encode()
        if self.said:  # a JSON patch would tell a generation in other words
            for labels in (labels_of(self.live), labels_of(self.said)):
                yield f'"{keys.GENERATION}":"{labels.get(keys.GENERATION, "")}"'.encode()
        for time in sorted({self.now, *_times(self.live), *_times(self.said)}):
            yield time.encode()


class Memo:
    """Answers by question, for as many runs as there are in a process. It begins anew when it is full."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._answers: dict[bytes, bytes] = {}

    def answer(self, question: Question, work: Callable[[], bytes]) -> bytes:
        """What `work` gives, or gave before."""
        names = question.names()
        key = question.key(names)
        known = self._answers.get(key)
        if known is not None:
            return _with(known, names)
        made = work()
        if len(self._answers) >= self._most:
            self._answers.clear()
        if self._most:
            self._answers[key] = _without(made, names)
        return made


def _times(item: ObjectView) -> Iterator[str]:
    created = dig(item, "metadata", "creationTimestamp")
    if created:
        yield created
    for entry in dig(item, "metadata", "managedFields") or ():
        if "time" in entry:
            yield entry["time"]


def _without(text: bytes, names: Sequence[bytes]) -> bytes:
    for number, name in enumerate(names):
        text = text.replace(name, b"\0%d\0" % number)
    return text


def _with(text: bytes, names: Sequence[bytes]) -> bytes:
    for number, name in enumerate(names):
        text = text.replace(b"\0%d\0" % number, name)
    return text

"""Where which document is.

What is listed is a partition of its own, spread over several (`shards`) where order does not matter, so that no partition's
throughput bounds the whole. Lists that are read newest first count time backwards: not every store reads backwards.
"""

import hashlib
import re
from dataclasses import dataclass
from zlib import crc32

from agentd.ledger.documents.store import Place

COUNTS = 64
"""Documents over which counts are spread: two writers at once meet on one of them now and then, and one tries again."""

LAYOUT = Place("layout", "layout")
VARIABLES = "variables"

_PLAIN = re.compile(r"[A-Za-z0-9._/:-]{1,150}")
_FAR_AHEAD_US = 10**17


def plain(text: str) -> str:
    """A text as part of a name: itself if it may be one, else its digest, which no text is equal to."""
    if _PLAIN.fullmatch(text):
        return text
    return f"~{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def stamp(seconds: float) -> str:
    """A time as part of a name: sorts by time."""
    return f"{_microseconds(seconds):018d}"


@dataclass(frozen=True, slots=True)
class Places:
    """The places of one store."""

    shards: int

    # -- records: in a partition for each key, but for open epochs ----------------------------------------------------------

    def admitted(self, key: str) -> Place:
        """What was admitted: never changes."""
        return Place(f"record/{plain(key)}", "admitted")

    def ended(self, key: str) -> Place:
        """The newest epoch that has ended."""
        return Place(f"record/{plain(key)}", "ended")

    def past(self, key: str) -> Place:
        """Those that ended before that one."""
        return Place(f"record/{plain(key)}", "past")

    def open(self, key: str) -> Place:
        """The epoch that is open; among those of all records."""
        return Place(self.open_shards()[self._shard(key)], plain(key))

    def open_shards(self) -> list[str]:
        """The partitions of all open epochs."""
        return self._shards_of("open")

    # -- subjects -----------------------------------------------------------------------------------------------------------

    def subject(self, subject: str) -> Place:
        """What is known of a subject."""
        return Place(f"subject/{plain(subject)}", "entry")

    def desired(self, subject: str) -> Place:
        """What is desired of a subject."""
        return Place(f"subject/{plain(subject)}", "desired")

    def of_subject(self, subject: str) -> str:
        """The partition of the records of a subject, newest first; apart for `event/` and `message/`."""
        return f"subject-records/{plain(subject)}"

    def record_of_subject(self, subject: str, key: str, at: float) -> Place:
        """A record in that list."""
        kind = key.partition("/")[0]
        return Place(self.of_subject(subject), f"{plain(kind)}/{_newest_first(key, at)}")

    def wanted(self, subject: str) -> Place:
        """A subject of which something is desired, among all such."""
        return Place(self.wanted_shards()[self._shard(subject)], plain(subject))

    def wanted_shards(self) -> list[str]:
        """The partitions of all subjects of which something is desired, each in the order of their names."""
        return self._shards_of("wanted")

    def name(self, kind: str, name: str) -> Place:
        """Who owns a name."""
        return Place(f"name/{plain(f'{kind}/{name}')}", "owner")

    # -- lists --------------------------------------------------------------------------------------------------------------

    def called(self, event_id: str) -> str:
        """The partition of records that claim an event's id without being its own, newest first."""
        return f"called/{plain(event_id)}"

    def record_called(self, event_id: str, key: str, at: float) -> Place:
        """A record in that list."""
        return Place(self.called(event_id), _newest_first(key, at))

    def report(self, report_id: str) -> Place:
        """A report that waits."""
        return Place(self.outbox_shards()[self._shard(report_id)], plain(report_id))

    def outbox_shards(self) -> list[str]:
        """The partitions of all reports that wait."""
        return self._shards_of("outbox")

    def done(self, key: str, finished_at: float) -> Place:
        """A record that has ended, among all such by the time of the end."""
        return Place(self.done_shards()[self._shard(key)], f"{stamp(finished_at)}~{plain(key)}")

    def done_shards(self) -> list[str]:
        """The partitions of all that has ended, each in the order of time."""
        return self._shards_of("done")

    # -- others -------------------------------------------------------------------------------------------------------------

    def counts(self, number: int) -> Place:
        """One of the documents that the counts are the sums of."""
        return Place(self.count_shards()[number % self.shards], f"{number % COUNTS:02d}")

    def count_shards(self) -> list[str]:
        """The partitions of all counts."""
        return self._shards_of("count")

    def variable(self, name: str) -> Place:
        """A shared variable."""
        return Place(VARIABLES, name)

    def part(self, parts_id: str, number: int) -> Place:
        """A piece of a large document."""
        return Place(self.parts(parts_id), f"{number:06d}")

    def parts(self, parts_id: str) -> str:
        """The partition of the pieces of a large document."""
        return f"part/{parts_id}"

    def lists_of(self, key: str, event_id: str | None, subject: str, at: float) -> list[Place]:
        """The places of a record in the lists that records are found by."""
        found = [self.record_of_subject(subject, key, at)] if subject else []
        if event_id and key != f"event/{event_id}":
            found.append(self.record_called(event_id, key, at))
        return found

    def _shard(self, text: str) -> int:
        return crc32(text.encode("utf-8", "surrogatepass")) % self.shards

    def _shards_of(self, kind: str) -> list[str]:
        return [f"{kind}/{number:02d}" for number in range(self.shards)]


def _newest_first(key: str, at: float) -> str:
    return f"{_FAR_AHEAD_US - _microseconds(at):018d}~{plain(key)}"


def _microseconds(seconds: float) -> int:
    return max(0, round(seconds * 1e6))

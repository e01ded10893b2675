"""From a seed to its plan."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random

from tests.simulation.disk import DiskFault, DiskFaultKind
from tests.simulation.plan import Element, Mishap, MishapKind, Moment, Plan, Setup
from tests.simulation.profiles import PROFILES, Profile
from tests.simulation.queues import QueueFault, QueueFaultKind, QueueSettings
from tests.simulation.story import draw_story
from tests.simulation.world import ECR, IAM, Fault, FaultKind, Faults
from tests.simulation.world import Profile as Weather

_FARTHEST_S = 3.0  # a clock from the truth
_LONG_S, _LONGEST_S = 20.0, 40.0  # pauses that outlast every lease
QUIET_AFTER_S = 14.0
"""Seconds after the last send at which all troubles end."""


def draw(seed: int, profile: str | None = None) -> Plan:
    """The plan of a seed; of a profile if one is given, else of the one that the seed chooses."""
    random = Random(f"plan {seed}")
    names = list(PROFILES)
    chosen = random.choices(names, [PROFILES[name].weight for name in names])[0]
    return _Draw(random, PROFILES[profile or chosen]).plan(seed, profile or chosen)


class _Draw:
    def __init__(self, random: Random, profile: Profile) -> None:
        self._random = random
        self._profile = profile
        self._replicas = random.randint(*profile.replicas)
        self._skewed = random.random() < profile.skewed
        self._fifo = random.random() < profile.fifo
        self._quiet_s = profile.story.horizon_s + QUIET_AFTER_S

    def plan(self, seed: int, name: str) -> Plan:
        story = draw_story(self._random, self._profile.story)
        elements: dict[str, Element] = {}
        lists: list[tuple[str, list[Element]]] = [
            ("s", [*sorted(story.sends, key=lambda send: send.at_s)]),
            ("a", [*story.acts]),
            ("r", [*story.redrives]),
            ("m", [*self._mishaps()]),
            ("q", [*self._queue_faults()]),
            ("d", [*self._disk_faults()]),
            ("w", [*self._world_faults()]),
        ]
        for letter, found in lists:
            elements.update({f"{letter}{number}": element for number, element in enumerate(found)})
        return Plan(
            seed=seed,
            profile=name,
            setup=self._setup(),
            healthy_from_s=self._quiet_s,
            elements=elements,
            intents=story.intents,
        )

    # -- the installation ----------------------------------------------------------------------------------------------

    def _setup(self) -> Setup:
        random, profile = self._random, self._profile
        narrow = random.random() < profile.narrow
        skewed = self._skewed
        visibility_s = random.choice((13.0, 19.0, 31.0))
        wait_s = random.choice((3.0, 6.0, 12.0))
        fifo = self._fifo
        return Setup(
            replicas=self._replicas,
            commands=QueueSettings(
                fifo=fifo,
                changes_receipts=not fifo and random.random() < 1 / 4,
                max_visibility_s=random.choice((45.0, 43_200.0)) if narrow or profile.stuck else 43_200.0,
                max_receive_count=random.choice((None, 3, 1000) if narrow else (None, None, 1000, 1000, 3)),
            ),
            stickiness=random.choice((0.0, 0.5, 0.9)),
            skew_s=tuple(random.uniform(-_FARTHEST_S, _FARTHEST_S) if skewed else 0.0 for _ in range(self._replicas)),
            bus={
                "slots": random.randint(2, 4) if narrow else random.randint(8, 24),
                "receivers_max": random.randint(1, 3),
                "wait_s": wait_s,
                "visibility_s": visibility_s,
                "lease_tick_s": 2.0,
                "lease_margin_s": 5.0,
                "retry_cap_s": 20.0,
                "receive_backoff_cap_s": 5.0,
                "dead_letter_visibility_s": 10.0,
                "sweep_interval_s": 20.0,
                "depth_interval_s": 60.0,
                "ack_timeout_s": 10.0,
                "release_timeout_s": 3.0,
            },
            dispatch={
                "max_running": random.randint(1, 2) if narrow else random.randint(3, 12),
                "lane_depth": random.randint(1, 2) if narrow else random.randint(2, 8),
                "lane_wait_s": random.choice((2.0, 5.0)),
                "flow_share_percent": random.choice((30, 50, 100)),
                "flow_depth": random.randint(2, 4) if narrow else 64,
                "lease_s": random.choice((6.0, 10.0, 15.0)),
                "clock_skew_s": 2 * _FARTHEST_S if skewed else random.choice((0.0, 1.0)),
                "step_retry_s": random.choice((0.0, 4.0, 12.0)),
                "step_retry_cap_s": 3.0,
                "default_expiry_s": 60.0,
                "defer_max_s": 20.0,
                "report_wait_s": random.choice((5.0, 20.0)),
            },
            reports={
                "outbox_limit": random.randint(1, 4) if narrow else 1000,
                "sweep_interval_s": 10.0,
                "left_behind_s": random.choice((3.0, 8.0)),
                "retry_cap_s": 5.0,
                "heartbeat_interval_s": 60.0,
                "progress_interval_s": 5.0,
            },
            max_attempts=random.choice((2, 3)) if narrow else 8,
            retry_cap_s=3.0 if narrow else 300.0,
            grace_s=random.choice((0.0, 3.0, 10.0, 10.0)),
            namespace_end_s=random.choice((1.0, 3.0, 12.0, 12.0)),
            ends_with_redrive=random.random() < 1 / 2,
            ends_with_echo=random.random() < 1 / 4,
            ends_with_restart=random.random() < 1 / 4,
        )

    # -- troubles ------------------------------------------------------------------------------------------------------

    def _mishaps(self) -> Iterator[Mishap]:
        random, profile = self._random, self._profile
        for _ in range(random.randint(*profile.crashes)):
            yield self._mishap(MishapKind.CRASH, lasts_s=random.choice((0.5, 3.0, 20.0)))
        for _ in range(random.randint(*profile.pauses)):
            lasts_s = random.choice((1.0, 8.0, 20.0, 40.0))
            woken = lasts_s >= _LONG_S and random.random() < 1 / 2
            mishap = self._mishap(MishapKind.PAUSE, lasts_s=lasts_s)
            if woken:  # in the middle of an attempt, for as long as it takes others to have the message as well
                count, wakes_after_s = float(random.randint(1, 12)), random.uniform(0.0, 1.5)
                mishap = replace(
                    mishap, moment=Moment.WRITES, count=count, lasts_s=_LONGEST_S, wakes_after_s=wakes_after_s
                )
            yield mishap
        for _ in range(random.randint(*profile.terms)):
            kind = random.choice((MishapKind.TERM,) * 3 + (MishapKind.ABORT,) * 2)
            mishap = self._mishap(kind, lasts_s=random.choice((0.5, 5.0, 30.0)))
            yield replace(mishap, at_last=random.random() < 1 / 2)
        if self._skewed:
            yield self._mishap(MishapKind.SKEW, skew_s=random.uniform(-_FARTHEST_S, _FARTHEST_S))

    def _mishap(self, kind: MishapKind, *, lasts_s: float = 0.0, skew_s: float = 0.0) -> Mishap:
        random = self._random
        moment = random.choice((Moment.SECONDS, Moment.STEPS, Moment.STEPS, *_EFFECTS))
        counts: dict[Moment, Callable[[], float]] = {
            Moment.SECONDS: lambda: random.uniform(1.0, self._quiet_s - 5.0),
            Moment.STEPS: lambda: float(random.randint(50, 3000)),
            Moment.COMMITS: lambda: float(random.randint(1, 60)),
            Moment.WRITES: lambda: float(random.randint(1, 12)),
        }
        count = counts.get(moment, lambda: float(random.randint(1, 6)))()
        return Mishap(kind, random.randrange(self._replicas), moment, count, lasts_s, skew_s)

    def _queue_faults(self) -> Iterator[QueueFault]:
        random = self._random
        reports_alone = random.random() < self._profile.reports_alone
        for _ in range(random.randint(*self._profile.queue_faults)):
            if random.random() < self._of_visibility_share() and not reports_alone:
                yield self._of_visibility()
                continue
            kind = random.choice((*QueueFaultKind, QueueFaultKind.PARTIAL, QueueFaultKind.PARTIAL))
            start_s = random.uniform(0.0, self._quiet_s * 0.8)
            end_s = min(start_s + random.choice((3.0, 10.0, 40.0)), self._quiet_s)
            queues = (None, "commands", "commands", "dead-letters", "reports")
            queue = "reports" if reports_alone else random.choice(queues)
            yield QueueFault(
                kind=kind,
                queue=queue,
                operation=self._operation(kind, queue),
                start_s=start_s,
                end_s=end_s,
                share=random.choice((0.2, 0.5, 1.0)),
                delay_s=random.uniform(0.5, 9.0) if kind is QueueFaultKind.SLOW else 0.0,
                replica=random.choice((None, None, random.randrange(self._replicas))),
            )

    def _of_visibility_share(self) -> float:
        """Of the troubles of queues, those of extensions and releases."""
        return 1 / 2 if self._profile.stuck else 1 / 4 if self._fifo else 0.0

    def _of_visibility(self) -> QueueFault:
        """What is given back comes again before that is known; what is held for long is not extended."""
        random = self._random
        kinds = [QueueFaultKind.HUNG_AFTER, QueueFaultKind.LOST_ANSWER]
        if self._profile.stuck:
            kinds += [QueueFaultKind.HUNG_BEFORE, QueueFaultKind.REFUSED, QueueFaultKind.SLOW]
        kind = random.choice(kinds)
        start_s = random.uniform(0.0, self._quiet_s / 2)
        return QueueFault(
            kind=kind,
            queue="commands",
            operation="change_visibility",
            start_s=start_s,
            end_s=min(start_s + random.choice((10.0, 40.0)), self._quiet_s),
            share=random.choice((0.5, 1.0)),
            delay_s=random.uniform(0.5, 9.0) if kind is QueueFaultKind.SLOW else 0.0,
        )

    def _operation(self, kind: QueueFaultKind, queue: str | None) -> str | None:
        """The calls that there are of each queue, the common ones more often."""
        if kind in (QueueFaultKind.SHORT, QueueFaultKind.DUPLICATED, QueueFaultKind.RISEN):
            return None
        usual: dict[str | None, tuple[str | None, ...]] = {
            "reports": (None, "send"),
            "dead-letters": (None, "send", "send", "receive", "delete"),
        }
        return self._random.choice(usual.get(queue, (None, "receive", "delete", "change_visibility", "send")))

    def _disk_faults(self) -> Iterator[DiskFault]:
        random = self._random
        for _ in range(random.randint(*self._profile.disk_faults)):
            start_s = random.uniform(0.0, self._quiet_s * 0.8)
            yield DiskFault(
                kind=random.choice(tuple(DiskFaultKind)),
                start_s=start_s,
                end_s=min(start_s + random.choice((2.0, 10.0)), self._quiet_s),
                share=random.choice((0.1, 0.5, 1.0)),
                delay_s=random.choice((0.2, 3.0, 12.0)),
                replica=random.choice((None, random.randrange(self._replicas))),
            )

    def _world_faults(self) -> Iterator[Element]:
        if self._profile.stuck:
            yield Fault(FaultKind.TIMEOUT_BEFORE, IAM, end_s=self._quiet_s, times=None)
        if not self._profile.world_faults:
            return
        if self._random.random() < self._profile.outages:
            start_s = self._random.uniform(4.0, self._quiet_s * 0.7)
            yield Fault(FaultKind.UNAVAILABLE, ECR, start_s=start_s, end_s=start_s + 3.0, times=None)
        weather = Weather(
            horizon_s=self._quiet_s,
            most=self._profile.world_faults,
            replicas=[replica_name(number) for number in range(self._replicas)],
            longest_delay_s=30.0,
            longest_s=15.0,
        )
        yield from Faults.draw(self._random, weather).items


_EFFECTS = (Moment.COMMITS, Moment.WRITES, Moment.SENDS, Moment.DELETES, Moment.RECEIVES)


def replica_name(number: int) -> str:
    """How a replica is called by faults and in traces."""
    return f"r{number}"

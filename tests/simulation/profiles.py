"""Kinds of runs: how much of which trouble there is in each."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tests.simulation.story import StoryMix

Range = tuple[int, int]
NONE: Range = (0, 0)


@dataclass(frozen=True, slots=True)
class Profile:
    """Ranges of how many of each trouble; shares of one for what is there or not."""

    weight: int
    story: StoryMix
    replicas: Range = (1, 3)
    fifo: float = 0.35
    crashes: Range = NONE
    pauses: Range = NONE
    terms: Range = NONE
    skewed: float = 0.0
    queue_faults: Range = NONE
    reports_alone: float = 0.0
    """Of the runs, those in which only the queue of the reports is in trouble."""
    disk_faults: Range = NONE
    world_faults: int = 0
    outages: float = 0.0
    """Of the runs, those in which the registry does not answer for some seconds."""
    stuck: bool = False
    """Nothing that an environment asks of the cloud is answered."""
    narrow: float = 0.2
    """Few slots and places, a short cap of visibility, a low receive limit: what is seldom reached otherwise."""


PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        "calm": Profile(1, StoryMix(nonsense=0.3, disorder=0.4, environments=0.5), narrow=0.1),
        "lossy": Profile(2, StoryMix(), queue_faults=(2, 8), reports_alone=0.25),
        "crashes": Profile(3, StoryMix(twice=0.1), crashes=(1, 6)),
        "groups": Profile(
            1,
            StoryMix(environments=0.5, busiest=0.4),
            fifo=1.0,
            replicas=(1, 2),
            queue_faults=(1, 4),
            world_faults=8,
        ),
        "pauses": Profile(2, StoryMix(), replicas=(2, 3), pauses=(1, 4), skewed=0.5),
        "flood": Profile(2, StoryMix(sends=(10, 16), horizon_s=10.0, environments=0.1, busiest=0.6), narrow=0.6),
        "deploys": Profile(
            3,
            StoryMix(
                sends=(6, 9),
                horizon_s=16.0,
                environments=1.0,
                prologues=1.0,
                revivals=0.5,
                busiest=0.5,
                disorder=0.1,
                nonsense=0.05,
                expired=0.02,
                foreign=0.02,
            ),
            crashes=(0, 2),
            world_faults=4,
            outages=0.4,
            narrow=0.1,
        ),
        "stuck": Profile(
            1,
            StoryMix(sends=(6, 10), horizon_s=14.0, environments=1.0, busiest=0.5),
            stuck=True,
            narrow=0.0,
            queue_faults=(0, 2),
            terms=(0, 2),
        ),
        "drain": Profile(2, StoryMix(horizon_s=20.0), terms=(1, 5), narrow=0.3),
        "world": Profile(2, StoryMix(twice=0.1, environments=0.5), world_faults=10),
        "disk": Profile(1, StoryMix(), disk_faults=(1, 4)),
        "everything": Profile(
            4,
            StoryMix(),
            replicas=(2, 3),
            crashes=(0, 3),
            pauses=(0, 2),
            terms=(0, 2),
            skewed=0.3,
            queue_faults=(0, 5),
            disk_faults=(0, 1),
            world_faults=6,
        ),
    }
)

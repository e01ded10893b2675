"""The world around the agent, simulated: one cloud account and one cluster, with everything that goes wrong in them."""

from tests.simulation.world.faults import ECR, IAM, KUBERNETES, Fault, FaultKind, Faults, Profile
from tests.simulation.world.kube import Pace
from tests.simulation.world.truth import Api, Asked, Caller, Marks, Seen, Write
from tests.simulation.world.world import World, WorldSettings

__all__ = [
    "ECR",
    "IAM",
    "KUBERNETES",
    "Api",
    "Asked",
    "Caller",
    "Fault",
    "FaultKind",
    "Faults",
    "Marks",
    "Pace",
    "Profile",
    "Seen",
    "World",
    "WorldSettings",
    "Write",
]

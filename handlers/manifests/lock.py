"""The environment's lock: a Lease that the agent makes, and that whoever works on the environment beside it takes.

One takes it by setting holderIdentity, leaseDurationSeconds and renewTime, as for any Lease. The agent sets none of
them, so that its applies leave a holder alone.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from agentd.platform import ClusterDefaults, Manifest, ObjectRef
from handlers.manifests import labels
from handlers.manifests.kinds import LEASE

NAME = "conveyor-environment"

# Clocks of two machines differ: a holder counts as alive for so much longer, in seconds.
_SKEW_S = 5.0


def lock(environment_name: str, defaults: ClusterDefaults) -> Manifest:
    """The lock, and nothing said of who has it."""
    common = labels.common_labels(
        name=labels.ENVIRONMENT,
        instance=environment_name,
        component=labels.ENVIRONMENT,
        tenant_id=defaults.tenant_id,
    )
    metadata = {"name": NAME, "namespace": environment_name, "labels": common}
    return {"apiVersion": LEASE.api_version, "kind": LEASE.name, "metadata": metadata}


def lock_ref(environment_name: str) -> ObjectRef:
    """Where an environment's lock is."""
    return ObjectRef(LEASE, NAME, environment_name)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has the lock, and until when: seconds since the epoch. A holder that does not say so is not alive."""

    name: str
    until: float

    @classmethod
    def of(cls, lease: Manifest | None) -> Self | None:
        """The holder of a lock, if it has one."""
        spec = (lease or {}).get("spec") or {}
        name = spec.get("holderIdentity")
        if not name:
            return None
        renewed = spec.get("renewTime") or spec.get("acquireTime")
        since = datetime.fromisoformat(renewed).timestamp() if renewed else 0.0
        return cls(name, since + (spec.get("leaseDurationSeconds") or 0))

    def alive(self, now: float) -> bool:
        """Whether it may still be at work."""
        return now < self.until + _SKEW_S

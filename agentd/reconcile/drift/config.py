"""Settings of drift."""

from typing import Annotated

from pydantic import Field, StringConstraints

from agentd.core import Config

Scope = Annotated[str, StringConstraints(pattern=r"^[a-z]+(/(create|change|delete))?$")]


class DriftConfig(Config):
    """How often the world is compared with what is desired, and what may be done about a difference."""

    enabled: bool = True
    """Compare the world with what is desired at all."""
    interval_s: float = Field(default=1800.0, ge=1, le=7 * 86400)
    """Seconds in which every subject is compared once. They are spread evenly over it; a large inventory may take longer."""
    shards: int = Field(default=8, ge=1, le=64)
    """Parts of the inventory that replicas share; in each, one subject is compared at a time. The same on all replicas."""
    repeat_s: float = Field(default=86_400.0, ge=60)
    """Seconds after which a difference that is still the same is reported again."""
    repair: tuple[Scope, ...] = ()
    """What the agent may bring back by itself: kinds of subjects (`project`, `package`, `environment`), each alone or with what
    may be done to an object (`environment/create`, `environment/change`, `environment/delete`). A subject is repaired when
    all that it takes is allowed. Nothing is by default: differences are reported."""
    repair_pause_s: float = Field(default=600.0, ge=1)
    """Seconds between the first repair of a subject and its second; twice as long before each further one."""
    repair_attempts: int = Field(default=5, ge=1, le=20)
    """Repairs of a subject after which it is left as it is, lest two controllers undo each other's work for ever."""
    calm_s: float = Field(default=86_400.0, ge=60)
    """Seconds after the last repair of a subject from when on its repairs are counted anew."""

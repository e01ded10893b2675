"""Settings of what the customer allows."""

from pathlib import Path

from pydantic import Field

from agentd.core import Config
from agentd.dispatch.policy.counting import MOST_COUNTED


class PolicyConfig(Config):
    """Which events are let in: the customer's own rules. Without a file every event that is believed is."""

    file: Path | None = None
    """The policy, a YAML file; looked at again without a restart. `agentd policy test` tries one."""
    reload_s: float = Field(default=15.0, ge=1, le=3600)
    """Seconds between two looks at the file."""


class BudgetConfig(Config):
    """How much may be destroyed before somebody has to look."""

    destructive_steps: int | None = Field(default=None, ge=1, le=MOST_COUNTED)
    """Repositories, images, roles and cluster objects that may be deleted within `window_s`, by all replicas together; what
    would be one more waits for `agentd budget release`. No limit when not given."""
    window_s: float = Field(default=3600.0, ge=60, le=31 * 86400)
    """The stretch of time, in seconds, that ends now, whenever now is."""
    watch_s: float = Field(default=3.0, ge=0.5, le=60)
    """Seconds between two looks at what somebody has said meanwhile: intake paused or resumed, the budget released."""

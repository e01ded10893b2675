"""What has drifted from what is desired: found, told, and where the customer lets it, brought back."""

from agentd.reconcile.drift.config import DriftConfig
from agentd.reconcile.drift.drift import Drift, Finding, Ports
from agentd.reconcile.drift.memory import Repair

__all__ = ["Drift", "DriftConfig", "Finding", "Ports", "Repair"]

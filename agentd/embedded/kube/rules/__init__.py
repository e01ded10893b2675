"""What is particular about each kind: defaults, what the server sets, and which rules its fields obey."""

from agentd.embedded.kube.rules.registry import rules_of
from agentd.embedded.kube.rules.rules import Rules

__all__ = ["Rules", "rules_of"]

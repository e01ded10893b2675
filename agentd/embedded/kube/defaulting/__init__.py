"""Defaults: what the API adds to an object that does not say it. By type, wherever the type occurs."""

from agentd.embedded.kube.defaulting.walk import apply_defaults, blank, show_presence

__all__ = ["apply_defaults", "blank", "show_presence"]

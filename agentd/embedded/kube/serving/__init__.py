"""The API over HTTP."""

from agentd.embedded.kube.serving.application import Api

__all__ = ["Api"]

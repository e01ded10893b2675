"""The kubelet of the one node: it runs nothing, and reports of pods what their annotations say."""

from agentd.embedded.kube.kubelet.controller import Kubelet

__all__ = ["Kubelet"]

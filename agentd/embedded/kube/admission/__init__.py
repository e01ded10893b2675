"""Admission: what is refused, or changed, because of what else there is."""

from agentd.embedded.kube.admission.chain import admit, check_admission

__all__ = ["admit", "check_admission"]

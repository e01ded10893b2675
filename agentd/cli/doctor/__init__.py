"""`agentd doctor`: can this installation do its job?"""

from agentd.cli.doctor.command import doctor

__all__ = ["doctor"]

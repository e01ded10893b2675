"""agentd: the data plane's daemon."""

from importlib.metadata import version

__version__ = version("agentd")

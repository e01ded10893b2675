"""Every setting: one frozen tree, from `AGENTD_*` environment variables over a settings file over defaults.

A key or variable that is unknown is an error, and so is a value out of bounds; all of them are told at once, a line each.
There is no secret among the settings: credentials of the cloud come from its own sources (see `aws`).
"""

from agentd.settings.loading import Loaded, load
from agentd.settings.problems import SettingsError
from agentd.settings.reference import settings_reference
from agentd.settings.shown import Row, effective
from agentd.settings.tree import CommandsConfig, DrainConfig, Settings

__all__ = [
    "CommandsConfig",
    "DrainConfig",
    "Loaded",
    "Row",
    "Settings",
    "SettingsError",
    "effective",
    "load",
    "settings_reference",
]

"""Why something is not up yet, or never will be, from what the cluster says of it. Pure."""

from handlers.environments.diagnosis.sight import Sight, Trouble
from handlers.environments.diagnosis.troubles import hopeless, troubles

__all__ = ["Sight", "Trouble", "hopeless", "troubles"]

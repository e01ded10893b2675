"""The colour of Airflow's navigation bar."""

import json

from agentd.events.environments import WebserverConfiguration

_PLAIN = WebserverConfiguration().navbar_color
# Source: Airflow 3.3, `[api] theme` ("Customizing the UI"), and what its interface calls the bar in the pages that it serves.
_BAR = "[data-testid='nav-sidebar']"


def theme(navbar_color: str) -> dict[str, str]:
    """The variable that sets it; none for the default, which leaves Airflow as it looks by itself."""
    if navbar_color == _PLAIN:
        return {}
    css = {_BAR: {"background": f"{navbar_color} !important"}}
    return {"AIRFLOW__API__THEME": json.dumps({"globalCss": css}, separators=(",", ":"))}

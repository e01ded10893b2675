"""The settings: that they can be read is known by now."""

from collections.abc import Sequence

from agentd.cli.doctor.findings import Finding, ok
from agentd.cli.doctor.run import Check
from agentd.cli.doctor.site import Site


async def _settings(site: Site) -> Sequence[Finding]:
    origins = site.loaded.origins.values()
    variables = sum(origin.startswith("environment ") for origin in origins)
    files = sorted({origin.removeprefix("file ") for origin in origins if origin.startswith("file ")})
    read = f"{variables} from AGENTD_* variables" + "".join(f", the rest of {file}" for file in files)
    return [ok("settings.load", f"{len(origins)} settings, {read}; `agentd config` shows each")]


CHECKS = (Check(("settings.load",), _settings, "mend what the message names"),)

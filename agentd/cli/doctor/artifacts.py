"""The artifact store, if there is one."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from agentd.cli.doctor.findings import Finding, failed, ok, skipped
from agentd.cli.doctor.run import Check
from agentd.cli.doctor.site import Site

_CHECK = "artifacts.store"


async def _store(site: Site) -> Sequence[Finding]:
    config = site.settings.artifacts
    if config.bucket is not None:
        return [await _bucket(site, config.bucket)]
    if config.directory is not None:
        return [await asyncio.to_thread(directory, config.directory)]
    return [
        skipped(
            _CHECK,
            "none is set: events and reports larger than a queue takes are refused",
            "set artifacts.bucket (or artifacts.directory on one machine) if you need them",
        )
    ]


async def _bucket(site: Site, name: str) -> Finding:
    if await (await site.account()).has_bucket(name):
        return ok(_CHECK, f"bucket {name} answers; keys begin with {site.settings.artifacts.prefix}/")
    return failed(_CHECK, f"there is no bucket {name}", "create it in the agent's account, or mend artifacts.bucket")


def directory(path: Path) -> Finding:
    """Whether files can be made there. It is asked of the system, not tried."""
    if not path.exists():
        return failed(_CHECK, f"{path} is not there", "make the folder, or mend artifacts.directory")
    if path.is_dir() and os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return ok(_CHECK, f"{path} can be read and written")
    return failed(
        _CHECK, f"{path} is no folder that this user may read and write", "give it to the user that runs the agent"
    )


CHECKS = (
    Check(
        (_CHECK,),
        _store,
        "artifacts.bucket: see that the network reaches S3; to have it looked at, allow the agent s3:ListBucket on the bucket",
        for_the_doctor_alone=True,
    ),
)

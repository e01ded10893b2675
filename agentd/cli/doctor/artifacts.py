"""The artifact store, if there is one."""

import asyncio
from collections.abc import Sequence

from agentd.cli.doctor import places
from agentd.cli.doctor.findings import Finding, skipped
from agentd.cli.doctor.run import Check
from agentd.cli.doctor.site import Site

_CHECK = "artifacts.store"


async def _store(site: Site) -> Sequence[Finding]:
    config = site.settings.artifacts
    if config.bucket is not None:
        return [await places.bucket(_CHECK, site, config.bucket, prefix=config.prefix, setting="artifacts.bucket")]
    if config.directory is not None:
        return [await asyncio.to_thread(places.directory, _CHECK, config.directory, setting="artifacts.directory")]
    return [
        skipped(
            _CHECK,
            "none is set: events and reports larger than a queue takes are refused",
            "set artifacts.bucket (or artifacts.directory on one machine) if you need them",
        )
    ]


CHECKS = (
    Check(
        (_CHECK,),
        _store,
        "artifacts.bucket: see that the network reaches S3; to have it looked at, allow the agent s3:ListBucket on the bucket",
        for_the_doctor_alone=True,
    ),
)

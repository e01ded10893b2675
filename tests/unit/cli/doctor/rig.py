"""A site whose parts no check has asked for, and good settings."""

from contextlib import AsyncExitStack

from agentd.cli.doctor.findings import Finding
from agentd.cli.doctor.run import Check, examine
from agentd.cli.doctor.site import Site
from agentd.core import AwsConfig
from agentd.platform.aws.session import AwsSession
from agentd.settings import load
from tests.virtual_time import virtual_runtime

ENVIRONMENT = {
    "AGENTD_TENANT_ID": "7e0a0000-0000-4000-8000-000000000001",
    "AGENTD_CLUSTER_ID": "c1050000-0000-4000-8000-000000000001",
    "AGENTD_COMMANDS__QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/111122223333/commands",
    "AGENTD_REPORTS_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/111122223333/reports",
}


async def examined(*checks: Check, deadline_s: float = 15.0) -> list[Finding]:
    """What the checks find at a site whose parts none of them uses."""
    loaded = load(None, ENVIRONMENT)
    async with AsyncExitStack() as stack:
        site = Site(loaded, virtual_runtime(), stack, AwsSession(AwsConfig()), deadline_s)
        return await examine(site, checks)

"""An installation without identities."""

from agentd.platform import IdentitySpec
from agentd.platform.local.identities import NoIdentities
from tests.conformance.registry.support import RecordingFence, new_subject


async def test_without_identities_nothing_is_made_and_nothing_is_in_the_way() -> None:
    identities = NoIdentities()
    fence = RecordingFence(new_subject("environment"), "owner")
    assert await identities.ensure(IdentitySpec("dev", (("dev", "airflow"),)), fence=fence) is None
    await identities.delete("dev", fence=fence)
    assert await identities.get("dev") is None
    assert await identities.identities() == []
    assert identities.annotations("arn:aws:iam::111122223333:role/etl") == {}
    assert fence.asked == []

"""Whether pods may become the identity that an event names: asked before anything is written, as it shows in no pod's start."""

from collections.abc import Sequence

from agentd.core import Context, PermanentError, Reason
from agentd.platform import Identities


async def check_trust(ctx: Context, identity: str, service_accounts: Sequence[tuple[str, str]]) -> None:
    """Return when these (namespace, name) pairs may become the identity, or when that cannot be told, which progress says.

    PermanentError(identity_not_trusted) has the statement that its trust policy lacks; the agent never adds it.
    """
    if not ctx.has_port(Identities):
        return
    found = await ctx.port(Identities).trust(identity, service_accounts)
    if found.refused:
        raise PermanentError(
            Reason.IDENTITY_NOT_TRUSTED,
            f"the trust policy of {identity} does not let service accounts {', '.join(found.refused)} become it; "
            f"it lacks: {found.missing}",
        )
    if found.note:
        ctx.progress(found.note)

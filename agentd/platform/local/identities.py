"""No identities: a cluster without a cloud account, or one whose operator gives workloads what they need."""

from collections.abc import Mapping, Sequence

from agentd.core import Fence
from agentd.platform.identities import Identities, Identity, IdentitySpec, IdentityState, Trust


class NoIdentities(Identities):
    """Nothing is made, nothing is found, nothing is in the way of a delete.

    An identity that a user names, such as a role of AWS, comes to nothing: there is no annotation by which a pod could
    become it here. The pod then runs as whatever its node is.
    """

    async def get(self, name: str) -> Identity | None:
        return None

    async def identities(self) -> Sequence[Identity]:
        return []

    def object_name(self, name: str) -> str:
        return f"identity/{name}"

    def id_of(self, name: str) -> str:
        return name

    async def state(self, name: str) -> IdentityState | None:
        return None

    def wanted(self, spec: IdentitySpec, found: IdentityState | None) -> IdentityState | None:
        return None

    async def holders(self, name: str) -> Sequence[str]:
        return []

    async def ensure(self, spec: IdentitySpec, *, fence: Fence) -> Identity | None:
        return None

    async def delete(self, name: str, *, fence: Fence) -> None:
        return None

    async def trust(self, identity_id: str, service_accounts: Sequence[tuple[str, str]]) -> Trust:
        return Trust()

    def annotations(self, identity_id: str) -> Mapping[str, str]:
        return {}

"""The identity port: what workloads of a cluster are in the cloud."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agentd.core import Fence, PermanentError, Reason


@dataclass(frozen=True, slots=True)
class IdentitySpec:
    """An identity as it is wanted.

    `name` is unique in the installation. `service_accounts` are the (namespace, name) pairs that may become it, at least
    one; a name may hold `*`, and must then not come from a user. `permissions` are policies of the provider (ARNs on AWS)
    that are attached, and no others but those that the settings give to every identity.
    """

    name: str
    service_accounts: tuple[tuple[str, str], ...]
    permissions: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """An identity as it is. `id` is the provider's own (an ARN on AWS); the rest is None on one that is not the agent's.

    In a listing `name` may be what the provider has shortened it to, which names the same identity.
    """

    name: str
    id: str
    owner_id: str | None
    subject: str | None
    generation: int | None
    tags: Mapping[str, str] = field(default_factory=dict)


def refuse_held(obj: str, holders: Sequence[str]) -> None:
    """Raise PermanentError(in_use) that names what else holds an identity, if anything does."""
    if holders:
        raise PermanentError(
            Reason.IN_USE, f"{obj} is held by what is not the agent's own: {', '.join(sorted(holders))}"
        )


@dataclass(frozen=True, slots=True)
class IdentityState:
    """What an identity is and may do, in terms that can be compared.

    `trust` are the service accounts that may become it, as `namespace/name`; or the provider's own text when it lets in
    others. What the provider does not have is None.
    """

    trust: tuple[str, ...] | str
    policies: tuple[str, ...]
    boundary: str | None
    description: str
    max_session_s: int | None


@dataclass(frozen=True, slots=True)
class Trust:
    """Whether service accounts may become an identity that somebody else has made.

    `refused` are those, as `namespace/name`, that certainly may not, and `missing` is what its owner has to add to let them
    in, ready to paste; the agent never does. `note` says what could not be told.
    """

    refused: tuple[str, ...] = ()
    missing: str = ""
    note: str = ""


class Identities(ABC):
    """Identities under one path of one account.

    Every mutating call takes the fence of the subject on whose behalf it is done, reads before it writes, writes only
    what differs, and reads the result back. It raises PermanentError(foreign_object) for an identity without the agent's
    own owner id or of another subject (I11), LeaseLost when it carries a newer generation than the fence's (I4), and
    TransientError or PermanentError with the operation, the identity and the provider's code and request id otherwise.
    """

    @abstractmethod
    async def get(self, name: str) -> Identity | None:
        """The identity, or None."""

    @abstractmethod
    async def identities(self) -> Sequence[Identity]:
        """All identities that are the agent's own."""

    @abstractmethod
    def object_name(self, name: str) -> str:
        """What fences, plans and errors call an identity."""

    @abstractmethod
    def id_of(self, name: str) -> str:
        """The id that an identity of this name would be given."""

    @abstractmethod
    async def state(self, name: str) -> IdentityState | None:
        """What the identity is and may do, whoever made it; None when there is none."""

    @abstractmethod
    def wanted(self, spec: IdentitySpec, found: IdentityState | None) -> IdentityState | None:
        """What `ensure` would make of it: equal to what was found when there is nothing to do.

        PermanentError(invalid_request) and None as from `ensure`.
        """

    @abstractmethod
    async def holders(self, name: str) -> Sequence[str]:
        """What else holds the identity, so that it cannot be deleted, such as an instance profile."""

    @abstractmethod
    async def ensure(self, spec: IdentitySpec, *, fence: Fence) -> Identity | None:
        """Create the identity, or bring trust, permissions and boundary to what is wanted.

        A newer generation with equal content writes the stamp alone. PermanentError(invalid_request) without service accounts.
        None where the installation has no identities of its own: workloads then have none but what users give them.
        """

    @abstractmethod
    async def delete(self, name: str, *, fence: Fence) -> None:
        """Delete the identity; one that is gone is success. Policies that are attached to it are left, others go with it.

        PermanentError(in_use) names what else holds it, such as an instance profile; it is then left as it is.
        """

    @abstractmethod
    async def trust(self, identity_id: str, service_accounts: Sequence[tuple[str, str]]) -> Trust:
        """Whether these (namespace, name) pairs may become an identity, as `annotations` takes it; nothing is written.

        What the agent may not read, and what is not there yet, is a note.
        """

    @abstractmethod
    def annotations(self, identity_id: str) -> Mapping[str, str]:
        """What a service account carries so that its pods become the identity, for example `eks.amazonaws.com/role-arn`.

        `identity_id` is an id, or the provider's own name of an identity in the installation's account, with its path if it
        has one; it need not be the agent's. Empty where the installation has no identities: a pod can become none there.
        """

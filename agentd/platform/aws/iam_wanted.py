"""A role as it is wanted, and what of it is there already. Pure."""

from dataclasses import dataclass
from typing import Self

from agentd.core import PermanentError, Reason
from agentd.platform.aws.iam_names import role_name
from agentd.platform.aws.iam_reads import Role
from agentd.platform.aws.iam_trust import trust_policy
from agentd.platform.aws.policies import Json, canonical, same_document
from agentd.platform.config import IdentitiesConfig
from agentd.platform.identities import IdentitySpec


@dataclass(frozen=True, slots=True)
class WantedRole:
    """An identity in IAM's terms. `policies` are the ARNs of the managed policies that are attached, and no others."""

    name: str
    trust: Json
    boundary: str | None
    description: str
    max_session_s: int
    policies: frozenset[str]

    @classmethod
    def of(cls, spec: IdentitySpec, config: IdentitiesConfig) -> Self:
        """The role of an identity. Raises PermanentError(invalid_request) when nobody could become it."""
        if not spec.service_accounts:
            raise PermanentError(Reason.INVALID_REQUEST, f"identity {spec.name} has no service account")
        return cls(
            name=role_name(config.role_prefix, spec.name),
            trust=trust_policy(config.oidc_provider(), spec.service_accounts),
            boundary=config.permissions_boundary,
            description=spec.description,
            max_session_s=config.max_session_s,
            policies=frozenset({*config.policies, *spec.permissions}),
        )

    @property
    def trust_text(self) -> str:
        """The trust policy as IAM takes it."""
        return canonical(self.trust)

    def has_trust(self, role: Role) -> bool:
        """Whether the same service accounts, and nobody else, may become the role."""
        return same_document(role.trust, self.trust)

    def has_boundary(self, role: Role) -> bool:
        """Whether the role is bounded as wanted. Without a wish any boundary is right: the agent never lifts one."""
        return self.boundary is None or role.boundary == self.boundary

    def has_settings(self, role: Role) -> bool:
        """Whether description and length of sessions are as wanted."""
        return (role.description, role.max_session_s) == (self.description, self.max_session_s)

    def fits(self, role: Role) -> bool:
        """Whether nothing of the role itself has to be written."""
        return self.has_trust(role) and self.has_boundary(role) and self.has_settings(role)

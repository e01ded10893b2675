"""What IAM says: every listing whole, and nothing found as None."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict, TypeVar

from agentd.core import side_by_side
from agentd.platform.aws.calls import AwsCalls
from agentd.platform.aws.iam_names import role_object
from agentd.platform.aws.policies import Json
from agentd.platform.config import IdentitiesConfig

if TYPE_CHECKING:
    from types_aiobotocore_iam import IAMClient
    from types_aiobotocore_iam.type_defs import RoleTypeDef

NO_ENTITY = ("NoSuchEntity",)


class _More(TypedDict, total=False):
    """Where a listing goes on."""

    Marker: str


class _Page(TypedDict):
    """What IAM's listings have in common."""

    IsTruncated: bool
    Marker: str


P = TypeVar("P", bound=_Page)


@dataclass(frozen=True, slots=True)
class Role:
    """A role as it is. `trust` is the document that says who may become it."""

    name: str
    arn: str
    trust: Json
    boundary: str | None
    description: str
    max_session_s: int
    tags: Mapping[str, str] = field(default_factory=dict)


class IamReads:
    """The reading half. The client may retry: reads are safe to repeat."""

    def __init__(self, client: "IAMClient", calls: AwsCalls, config: IdentitiesConfig) -> None:
        self._client = client
        self._calls = calls
        self._config = config

    async def role(self, name: str) -> Role | None:
        """The role, with its tags."""
        answer = await self._calls.call_unless(
            "GetRole",
            role_object(name),
            self._client.get_role(RoleName=name),
            timeout_s=self._config.call_timeout_s,
            refusals=NO_ENTITY,
        )
        return _role(answer["Role"]) if answer else None

    async def roles(self) -> Sequence[Role]:
        """Every role below the path whose name begins with the prefix; listings have no tags, so each is read alone."""
        pages = await self._pages(
            "ListRoles",
            role_object("*"),
            lambda more: self._client.list_roles(PathPrefix=self._config.path, MaxItems=self._config.page_size, **more),
        )
        names = [found["RoleName"] for page in pages for found in page["Roles"]]
        ours = [name for name in names if name.startswith(self._config.role_prefix)]
        found = await side_by_side(ours, self.role, at_once=self._config.parallel_reads)
        return [role for role in found if role is not None]

    async def attached(self, name: str) -> frozenset[str]:
        """ARNs of the managed policies that are attached to a role; none when there is no role."""
        pages = await self._pages(
            "ListAttachedRolePolicies",
            role_object(name),
            lambda more: self._client.list_attached_role_policies(
                RoleName=name, MaxItems=self._config.page_size, **more
            ),
        )
        return frozenset(found.get("PolicyArn", "") for page in pages for found in page["AttachedPolicies"])

    async def inline(self, name: str) -> Sequence[str]:
        """Names of the policies that are part of a role; none when there is no role."""
        pages = await self._pages(
            "ListRolePolicies",
            role_object(name),
            lambda more: self._client.list_role_policies(RoleName=name, MaxItems=self._config.page_size, **more),
        )
        return [policy for page in pages for policy in page["PolicyNames"]]

    async def instance_profiles(self, name: str) -> Sequence[str]:
        """Names of the instance profiles that hold a role; none when there is no role."""
        pages = await self._pages(
            "ListInstanceProfilesForRole",
            role_object(name),
            lambda more: self._client.list_instance_profiles_for_role(
                RoleName=name, MaxItems=self._config.page_size, **more
            ),
        )
        return [found["InstanceProfileName"] for page in pages for found in page["InstanceProfiles"]]

    async def _pages(self, operation: str, obj: str, ask: Callable[[_More], Awaitable[P]]) -> Sequence[P]:
        pages: list[P] = []
        more: _More = {}
        while True:
            page = await self._calls.call_unless(
                operation, obj, ask(more), timeout_s=self._config.call_timeout_s, refusals=NO_ENTITY
            )
            if page is None:
                return pages
            pages.append(page)
            if not page.get("IsTruncated"):
                return pages
            more = {"Marker": page["Marker"]}


def _role(found: "RoleTypeDef") -> Role:
    return Role(
        name=found["RoleName"],
        arn=found["Arn"],
        trust=found.get("AssumeRolePolicyDocument"),  # the SDK has undone its URL encoding
        boundary=found.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
        description=found.get("Description", ""),
        max_session_s=found.get("MaxSessionDuration", 0),
        tags={tag["Key"]: tag["Value"] for tag in found.get("Tags", [])},
    )

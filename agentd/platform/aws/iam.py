"""Identities as IAM roles, which service accounts of one cluster may become. IAM has no conditional write."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from agentd.core import Fence, PermanentError, Reason, Runtime
from agentd.platform.aws import tags
from agentd.platform.aws.calls import AwsCalls
from agentd.platform.aws.fenced import FencedWrites
from agentd.platform.aws.iam_names import role_arn, role_name, role_object, same_account
from agentd.platform.aws.iam_reads import NO_ENTITY, IamReads, Role
from agentd.platform.aws.iam_trust import read_trust, trust_policy
from agentd.platform.aws.iam_wanted import WantedRole
from agentd.platform.aws.policies import canonical
from agentd.platform.aws.trust_check import Verdict, judged
from agentd.platform.config import IdentitiesConfig
from agentd.platform.identities import Identities, Identity, IdentitySpec, IdentityState, Trust, refuse_held
from agentd.platform.ownership import check_own
from agentd.telemetry import Metrics

if TYPE_CHECKING:
    from types_aiobotocore_iam import IAMClient
    from types_aiobotocore_iam.type_defs import CreateRoleRequestTypeDef, TagTypeDef

_EXISTS = ("EntityAlreadyExists",)
# Waits before each look at a result: IAM is a global service, and shows a change within some seconds.
_LOOK_AFTER_S = (0.0, 0.2, 0.5, 1.0, 2.0)
_ROLE_ARN = "eks.amazonaws.com/role-arn"


class IamIdentities(Identities):
    """`reads` may retry by itself; `writes` must not. Policies that are part of a role go with its delete alone."""

    def __init__(
        self,
        *,
        reads: "IAMClient",
        writes: "IAMClient",
        config: IdentitiesConfig,
        owner_id: str,
        metrics: Metrics,
        runtime: Runtime,
    ) -> None:
        calls = AwsCalls(port="identities", service="iam", metrics=metrics, runtime=runtime)
        self._reads = IamReads(reads, calls, config)
        self._writes = writes
        self._fenced = FencedWrites(calls, timeout_s=config.call_timeout_s, look_after_s=_LOOK_AFTER_S, runtime=runtime)
        self._config = config
        self._provider = config.oidc_provider()
        self._owner_id = owner_id

    async def get(self, name: str) -> Identity | None:
        role = await self._reads.role(role_name(self._config.role_prefix, name))
        return self._identity(name, role) if role else None

    async def identities(self) -> Sequence[Identity]:
        found = [
            self._identity(role.name.removeprefix(self._config.role_prefix), role) for role in await self._reads.roles()
        ]
        return [identity for identity in found if identity.owner_id is not None]

    def object_name(self, name: str) -> str:
        return role_object(role_name(self._config.role_prefix, name))

    def id_of(self, name: str) -> str:
        role = role_name(self._config.role_prefix, name)
        return role_arn(f"{self._config.path}{role}", beside=self._provider.arn)

    async def state(self, name: str) -> IdentityState | None:
        role = await self._reads.role(role_name(self._config.role_prefix, name))
        if role is None:
            return None
        return IdentityState(
            trust=read_trust(self._provider, role.trust),
            policies=tuple(sorted(await self._reads.attached(role.name))),
            boundary=role.boundary,
            description=role.description,
            max_session_s=role.max_session_s,
        )

    def wanted(self, spec: IdentitySpec, found: IdentityState | None) -> IdentityState:
        wanted = WantedRole.of(spec, self._config)
        return IdentityState(
            trust=read_trust(self._provider, wanted.trust),
            policies=tuple(sorted(wanted.policies)),
            # The agent never lifts one.
            boundary=wanted.boundary or (found.boundary if found else None),
            description=wanted.description,
            max_session_s=wanted.max_session_s,
        )

    async def holders(self, name: str) -> Sequence[str]:
        profiles = await self._reads.instance_profiles(role_name(self._config.role_prefix, name))
        return [f"instance profile {profile}" for profile in profiles]

    async def ensure(self, spec: IdentitySpec, *, fence: Fence) -> Identity:
        wanted = WantedRole.of(spec, self._config)
        found = await self._reads.role(wanted.name)
        if found is None:
            await self._create(wanted, fence)
            found = await self._fenced.shown(role_object(wanted.name), lambda: self._reads.role(wanted.name))
        self._check(found, fence)
        attached = await self._reads.attached(wanted.name)
        differs = attached != wanted.policies or not wanted.fits(found)
        role = await self._claim(found, fence, changes=differs)
        if differs:
            await self._bring(role, wanted, fence)
            await self._bring_policies(wanted, attached, fence)
            role = await self._until(wanted.name, wanted.fits)
        return self._identity(spec.name, role)

    async def delete(self, name: str, *, fence: Fence) -> None:
        role = await self._reads.role(role_name(self._config.role_prefix, name))
        if role is None:
            return
        self._check(role, fence)
        obj = role_object(role.name)
        refuse_held(obj, await self.holders(name))
        await self._detach(role.name, await self._reads.attached(role.name), fence, destroys=True)
        for policy in await self._reads.inline(role.name):
            await self._fenced.write(
                "DeleteRolePolicy",
                obj,
                partial(self._writes.delete_role_policy, RoleName=role.name, PolicyName=policy),
                fence,
                destroys=True,
                refusals=NO_ENTITY,
            )
        await self._fenced.write(
            "DeleteRole",
            obj,
            lambda: self._writes.delete_role(RoleName=role.name),
            fence,
            destroys=True,
            refusals=NO_ENTITY,
        )
        await self._fenced.settled(obj, lambda: self._reads.role(role.name), lambda seen: seen is None)

    async def trust(self, identity_id: str, service_accounts: Sequence[tuple[str, str]]) -> Trust:
        arn = role_arn(identity_id, beside=self._provider.arn)
        if not same_account(arn, self._provider.arn):
            return Trust(note=f"{arn} is of another account, so its trust policy was not read")
        try:
            role = await self._reads.role(arn.rpartition("/")[2])
        except PermanentError as error:
            if error.reason is not Reason.ACCESS_DENIED:
                raise
            return Trust(note=f"the trust policy of {arn} could not be read: {error.message}")
        if role is None or _below(role.arn) != _below(arn):
            # IAM shows a role some seconds after it was made: no reason to refuse.
            return Trust(note=f"there is no role {arn}: no pod becomes it until it is made and lets them in")
        return self._judge(role, service_accounts)

    def _judge(self, role: Role, service_accounts: Sequence[tuple[str, str]]) -> Trust:
        verdicts = judged(role.trust, self._provider, service_accounts)
        refused = [account for account, verdict in verdicts.items() if verdict is Verdict.NO]
        unsure = sorted("/".join(account) for account, verdict in verdicts.items() if verdict is Verdict.UNKNOWN)
        wanted = trust_policy(self._provider, refused)["Statement"] if refused else []
        rests = f"whether {', '.join(unsure)} may become {role.arn} rests on conditions that AWS alone can judge"
        return Trust(
            refused=tuple(sorted("/".join(account) for account in refused)),
            missing=", ".join(canonical(statement) for statement in wanted) if isinstance(wanted, list) else "",
            note=rests if unsure else "",
        )

    def annotations(self, identity_id: str) -> Mapping[str, str]:
        return {_ROLE_ARN: role_arn(identity_id, beside=self._provider.arn)}

    async def _create(self, wanted: WantedRole, fence: Fence) -> None:
        """One that exists already is read and checked by the caller: an answer may have been lost, or it is foreign."""
        request: CreateRoleRequestTypeDef = {
            "RoleName": wanted.name,
            "Path": self._config.path,
            "AssumeRolePolicyDocument": wanted.trust_text,
            "Description": wanted.description,
            "MaxSessionDuration": wanted.max_session_s,
            "Tags": _tag_list(tags.ownership(fence)),
        }
        if wanted.boundary is not None:
            request["PermissionsBoundary"] = wanted.boundary
        await self._fenced.write(
            "CreateRole",
            role_object(wanted.name),
            lambda: self._writes.create_role(**request),
            fence,
            refusals=_EXISTS,
        )

    async def _bring(self, role: Role, wanted: WantedRole, fence: Fence) -> None:
        """The boundary first: nothing that follows can allow more than it should."""
        obj, boundary = role_object(wanted.name), wanted.boundary
        if boundary is not None and not wanted.has_boundary(role):
            await self._fenced.write(
                "PutRolePermissionsBoundary",
                obj,
                lambda: self._writes.put_role_permissions_boundary(RoleName=wanted.name, PermissionsBoundary=boundary),
                fence,
            )
        if not wanted.has_trust(role):
            await self._fenced.write(
                "UpdateAssumeRolePolicy",
                obj,
                lambda: self._writes.update_assume_role_policy(RoleName=wanted.name, PolicyDocument=wanted.trust_text),
                fence,
            )
        if not wanted.has_settings(role):
            await self._fenced.write(
                "UpdateRole",
                obj,
                lambda: self._writes.update_role(
                    RoleName=wanted.name,
                    Description=wanted.description,
                    MaxSessionDuration=wanted.max_session_s,
                ),
                fence,
            )

    async def _bring_policies(self, wanted: WantedRole, attached: frozenset[str], fence: Fence) -> None:
        if attached == wanted.policies:
            return
        obj = role_object(wanted.name)
        await self._detach(wanted.name, attached - wanted.policies, fence)
        for arn in sorted(wanted.policies - attached):
            await self._fenced.write(
                "AttachRolePolicy",
                obj,
                partial(self._writes.attach_role_policy, RoleName=wanted.name, PolicyArn=arn),
                fence,
            )
        await self._fenced.settled(obj, lambda: self._reads.attached(wanted.name), lambda seen: seen == wanted.policies)

    async def _detach(self, name: str, arns: frozenset[str], fence: Fence, *, destroys: bool = False) -> None:
        for arn in sorted(arns):
            await self._fenced.write(
                "DetachRolePolicy",
                role_object(name),
                partial(self._writes.detach_role_policy, RoleName=name, PolicyArn=arn),
                fence,
                destroys=destroys,
                refusals=NO_ENTITY,
            )

    async def _claim(self, role: Role, fence: Fence, *, changes: bool) -> Role:
        """Stamp the generation, and before a change the event too, so that older writers see that they are late."""
        wanted = tags.content_stamp(fence) if changes else tags.stamp(fence)
        missing = tags.missing(wanted, role.tags)
        if not missing:
            return role
        await self._fenced.write(
            "TagRole",
            role_object(role.name),
            lambda: self._writes.tag_role(RoleName=role.name, Tags=_tag_list(missing)),
            fence,
            stamp=True,
        )
        return await self._until(role.name, lambda seen: not tags.missing(missing, seen.tags))

    async def _until(self, name: str, good: Callable[[Role], bool]) -> Role:
        """The role once it shows a change."""
        return await self._fenced.shown(role_object(name), lambda: self._reads.role(name), good)

    def _check(self, role: Role, fence: Fence) -> None:
        """Raise unless the fence's holder may write to the role."""
        check_own(role_object(role.name), self._identity(role.name, role), fence)

    def _identity(self, name: str, role: Role) -> Identity:
        marks = tags.Marks.read(role.tags, self._owner_id)
        return Identity(
            name=name,
            id=role.arn,
            owner_id=marks.owner_id if marks else None,
            subject=marks.subject if marks else None,
            generation=marks.generation if marks else None,
            tags=role.tags,
        )


def _below(arn: str) -> str:
    """Path and name of a role, of which the account has been looked at."""
    return arn.partition(":role/")[2]


def _tag_list(wanted: Mapping[str, str]) -> "list[TagTypeDef]":
    return [{"Key": key, "Value": value} for key, value in sorted(wanted.items())]

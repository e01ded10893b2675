"""The simulated identities: what of IAM the agent uses. Source: the IAM API reference."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from botocore.exceptions import ClientError

from agentd.platform.aws.iam_names import role_object
from tests.simulation.world.aws import (
    ACCOUNT,
    Answer,
    Operation,
    Request,
    Service,
    Thing,
    about,
    cut,
    operations,
    read_tags,
    refusal,
    speaker,
    tag_list,
)
from tests.simulation.world.faults import IAM
from tests.simulation.world.truth import Asked, Seen, own_tags

SAYS = speaker(IAM, ("Throttling", 400), ("ServiceFailure", 500), ("AccessDenied", 403))

_PAGE = 100
_HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Role(Thing):
    """A role with everything that hangs on it."""

    path: str
    trust: str
    description: str
    max_session_s: int
    boundary: str | None = None
    attached: tuple[str, ...] = ()
    inline: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()


class Iam(Service[Role]):
    """One account's roles."""

    def operations(self) -> Mapping[str, Operation]:
        """See Service."""
        return operations(
            {
                "GetRole": self._get_role,
                "ListRoles": self._list_roles,
                "ListAttachedRolePolicies": self._list_attached,
                "ListRolePolicies": self._list_inline,
                "ListInstanceProfilesForRole": self._list_profiles,
            },
            {
                "CreateRole": self._create_role,
                "TagRole": self._tag_role,
                "UpdateRole": self._update_role,
                "UpdateAssumeRolePolicy": self._update_trust,
                "PutRolePermissionsBoundary": self._put_boundary,
                "AttachRolePolicy": self._attach,
                "DetachRolePolicy": self._detach,
                "DeleteRolePolicy": self._delete_inline,
                "DeleteRole": self._delete_role,
            },
        )

    def missing(self, name: str, operation: str) -> ClientError:
        """See Service."""
        return _no_entity(f"The role with name {name} cannot be found.", operation)

    def seen(self) -> Sequence[Seen]:
        """See Service."""
        return [
            Seen(
                role_object(role.name),
                IAM,
                "Role",
                role.marks,
                {
                    "tags": dict(own_tags(role.tags)),
                    "path": role.path,
                    "trust": json.loads(role.trust),
                    "description": role.description,
                    "max_session_s": role.max_session_s,
                    "boundary": role.boundary,
                    "attached": sorted(role.attached),
                    "inline": sorted(role.inline),
                },
            )
            for role in self.shelf.all()
        ]

    # -- reads ---------------------------------------------------------------------------------------------------------

    def _get_role(self, asked: Asked, request: Request) -> Answer:
        role = self.found(request["RoleName"], asked)
        tags = {"Tags": tag_list(role.tags)} if role.tags else {}
        boundary = {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": role.boundary}
        return {"Role": {**_listed(role), **tags, **({"PermissionsBoundary": boundary} if role.boundary else {})}}

    def _list_roles(self, asked: Asked, request: Request) -> Answer:
        prefix = request.get("PathPrefix", "/")
        every = [_listed(role) for role in self.shelf.all(asked.lag_s) if role.path.startswith(prefix)]
        return _page("Roles", every, request)

    def _list_attached(self, asked: Asked, request: Request) -> Answer:
        role = self.found(request["RoleName"], asked)
        every = [{"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn} for arn in role.attached]
        return _page("AttachedPolicies", every, request)

    def _list_inline(self, asked: Asked, request: Request) -> Answer:
        return _page("PolicyNames", self.found(request["RoleName"], asked).inline, request)

    def _list_profiles(self, asked: Asked, request: Request) -> Answer:
        role = self.found(request["RoleName"], asked)
        every = [
            {
                "Path": "/",
                "InstanceProfileName": name,
                "InstanceProfileId": name,
                "Arn": f"arn:aws:iam::{ACCOUNT}:instance-profile/{name}",
                "CreateDate": datetime.fromtimestamp(role.created_s, UTC),
                "Roles": [_listed(role)],
            }
            for name in role.profiles
        ]
        return _page("InstanceProfiles", every, request)

    # -- writes --------------------------------------------------------------------------------------------------------

    def _create_role(self, asked: Asked, request: Request) -> Answer:
        name, path, tags = request["RoleName"], request.get("Path", "/"), read_tags(request.get("Tags", ()))

        def make(there: Role | None) -> Role:
            if there is not None:
                message = f"Role with name {name} already exists."
                raise refusal("EntityAlreadyExists", message, asked.operation, 409)
            return Role(
                name=name,
                arn=role_arn(path, name),
                created_s=self._wall(),
                tags=tags,
                path=path,
                trust=request["AssumeRolePolicyDocument"],
                description=request.get("Description", ""),
                max_session_s=request.get("MaxSessionDuration", _HOUR_S),
                boundary=request.get("PermissionsBoundary"),
            )

        return {"Role": _listed(self.create(asked, name, about(role_object(name), tags), make))}

    def _tag_role(self, asked: Asked, request: Request) -> Answer:
        name, tags = request["RoleName"], read_tags(request["Tags"])
        self.change(
            asked,
            name,
            about(role_object(name), tags),
            lambda found: replace(found, tags={**found.tags, **tags}),
        )
        return {}

    def _update_role(self, asked: Asked, request: Request) -> Answer:
        given = {"Description": "description", "MaxSessionDuration": "max_session_s"}
        self._set(asked, request, **{field: request[key] for key, field in given.items() if key in request})
        return {}

    def _update_trust(self, asked: Asked, request: Request) -> Answer:
        self._set(asked, request, trust=request["PolicyDocument"])
        return {}

    def _put_boundary(self, asked: Asked, request: Request) -> Answer:
        self._set(asked, request, boundary=request["PermissionsBoundary"])
        return {}

    def _attach(self, asked: Asked, request: Request) -> Answer:
        name, arn = request["RoleName"], request["PolicyArn"]
        self.change(
            asked,
            name,
            about(role_object(name)),
            lambda found: found if arn in found.attached else replace(found, attached=(*found.attached, arn)),
        )
        return {}

    def _detach(self, asked: Asked, request: Request) -> Answer:
        name, arn = request["RoleName"], request["PolicyArn"]

        def alter(found: Role) -> Role:
            if arn not in found.attached:
                raise _no_entity(f"Policy {arn} was not found.", asked.operation)
            return replace(found, attached=tuple(one for one in found.attached if one != arn))

        self.change(asked, name, about(role_object(name)), alter)
        return {}

    def _delete_inline(self, asked: Asked, request: Request) -> Answer:
        name, policy = request["RoleName"], request["PolicyName"]

        def alter(found: Role) -> Role:
            if policy not in found.inline:
                raise _no_entity(f"The role policy with name {policy} cannot be found.", asked.operation)
            return replace(found, inline=tuple(one for one in found.inline if one != policy))

        self.change(asked, name, about(role_object(name)), alter)
        return {}

    def _delete_role(self, asked: Asked, request: Request) -> Answer:
        def alter(found: Role) -> None:
            if found.attached or found.inline or found.profiles:
                message = "Cannot delete entity, must remove everything from it first."
                raise refusal("DeleteConflict", message, asked.operation, 409)

        name = request["RoleName"]
        self.change(asked, name, about(role_object(name)), alter)
        return {}

    def _set(self, asked: Asked, request: Request, **settings: object) -> None:
        name = request["RoleName"]
        self.change(asked, name, about(role_object(name)), lambda found: replace(found, **settings))  # type: ignore[arg-type] # as named there


def role_arn(path: str, name: str) -> str:
    """The ARN of a role."""
    return f"arn:aws:iam::{ACCOUNT}:role{path}{name}"


def _no_entity(message: str, operation: str) -> ClientError:
    return refusal("NoSuchEntity", message, operation, 404)


def _listed(role: Role) -> Answer:
    return {
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.name,
        "Arn": role.arn,
        "CreateDate": datetime.fromtimestamp(role.created_s, UTC),
        "AssumeRolePolicyDocument": json.loads(role.trust),
        **({"Description": role.description} if role.description else {}),
        "MaxSessionDuration": role.max_session_s,
    }


def _page(key: str, items: Sequence[object], request: Request) -> Answer:
    page, marker = cut(items, request.get("Marker"), request.get("MaxItems", _PAGE))
    return {key: list(page), "IsTruncated": marker is not None, **({"Marker": marker} if marker else {})}

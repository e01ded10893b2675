"""What handlers say of themselves: it is what `agentd schema` prints, and what an installation grants."""

import inspect

import pytest

from agentd.core import Handler
from agentd.events import CATALOGUE
from handlers import HANDLERS

_RESOURCES = {
    "ecr": "arn:aws:ecr:*:*:repository/{registry.repository_prefix}/",
    "iam": "arn:aws:iam::*:role{identities.path}{identities.role_prefix}*",
    "kms": "{registry.kms_key}",
}
_VERBS = {"create", "delete", "get", "list", "patch", "watch"}


def test_every_event_has_one_handler() -> None:
    assert len(HANDLERS) == len(CATALOGUE)
    assert {handler.event for handler in HANDLERS} == set(CATALOGUE.values())


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.event.__name__)
def test_handlers_say_what_they_are(handler: Handler) -> None:
    assert inspect.getdoc(handler.run)
    assert handler.steps
    assert 0 < handler.timeout_s <= 900
    assert len(set(handler.permissions)) == len(handler.permissions)


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.event.__name__)
def test_permissions_are_spelled_as_their_provider_spells_them(handler: Handler) -> None:
    for permission in handler.permissions:
        if permission.service == "kubernetes":
            assert permission.action in _VERBS
            assert "*" not in permission.resource
        else:
            assert permission.service == "aws"
            service, _, action = permission.action.partition(":")
            assert action.isalpha()
            # Roles that events name may be anywhere; who may become them is read, and nothing else.
            reads_trust = (permission.action, permission.resource) == ("iam:GetRole", "arn:aws:iam::*:role/*")
            assert reads_trust or permission.resource.startswith(_RESOURCES[service])


def test_a_handler_needs_the_repositories_of_its_own_kind_alone() -> None:
    kinds = {"package": "package"}
    for handler in HANDLERS:
        kind = kinds.get(handler.event.kind(), "project")
        found = {permission.resource for permission in handler.permissions if permission.action.startswith("ecr:")}
        assert found <= {f"arn:aws:ecr:*:*:repository/{{registry.repository_prefix}}/{kind}/*"}

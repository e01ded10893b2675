"""Documents that grant what an installation needs: nothing more, nothing less, and only where it is needed."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from moto.iam.policy_validation import IAMPolicyDocumentValidator

from agentd.cli import main
from agentd.cli.grants import NoArn, grants, policy, role_definition
from agentd.cli.permissions import needs
from agentd.core import Permission
from agentd.dispatch import load_handlers
from agentd.settings import load
from tests.unit.cli.doctor.rig import ENVIRONMENT

DEPLOY = Path(__file__).parents[3] / "deploy"
LETTERS = f"{ENVIRONMENT['AGENTD_COMMANDS__QUEUE_URL']}-letters"
# Characters of a managed policy, white space not counted. Source: IAM's quotas.
MOST_OF_A_POLICY = 6144


def needed(**variables: str) -> list[Permission]:
    """With good settings, but for these variables."""
    environment = environment_of(**variables)
    return [need.permission for need in needs(load(None, environment).settings, load_handlers())]


def environment_of(**variables: str) -> dict[str, str]:
    given = {"CLUSTER__ACCESS": "in_cluster", "COMMANDS__DEAD_LETTER_QUEUE_URL": LETTERS, **variables}
    return {**ENVIRONMENT, **{f"AGENTD_{name}": value for name, value in given.items()}}


def made_policy(**variables: str) -> dict[str, Any]:
    return policy(needed(**variables), load(None, environment_of(**variables)).settings)


def statements(document: Mapping[str, Any], action: str) -> list[dict[str, Any]]:
    return [statement for statement in document["Statement"] if action in statement["Action"]]


def in_roles(documents: Iterable[Mapping[str, Any]]) -> set[tuple[str, str, str]]:
    """What is granted: namespace, verb and resource."""
    return {
        (document["metadata"].get("namespace", ""), verb, f"{resource}.{group}" if group else resource)
        for document in documents
        if document["kind"] in ("ClusterRole", "Role")
        for rule in document["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def right(verb: str, resource: str, namespace: str = "") -> Permission:
    return Permission("kubernetes", verb, resource, namespace)


# -- Kubernetes --------------------------------------------------------------------------------------------------------


def test_roles_grant_exactly_what_is_declared() -> None:
    permissions = needed()
    documents = grants(permissions, name="agent", account="account", namespace="system")
    everywhere = {(p.action, p.resource) for p in permissions if p.service == "kubernetes" and not p.namespace}
    assert in_roles(documents) == {("", *found) for found in everywhere}
    (binding,) = [document for document in documents if document["kind"] == "ClusterRoleBinding"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "account", "namespace": "system"}]


def test_what_is_needed_in_one_namespace_alone_is_granted_there_alone() -> None:
    permissions = [right("get", "pods"), right("get", "configmaps", "system"), right("patch", "configmaps", "system")]
    documents = grants(permissions, name="agent", account="account", namespace="system")
    assert in_roles(documents) == {
        ("", "get", "pods"),
        ("system", "get", "configmaps"),
        ("system", "patch", "configmaps"),
    }
    assert [document["kind"] for document in documents] == ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]
    covered = grants([*permissions, right("get", "configmaps")], name="agent", account="account", namespace="system")
    assert in_roles(covered) >= {("", "get", "configmaps"), ("system", "patch", "configmaps")}
    assert ("system", "get", "configmaps") not in in_roles(covered)


def test_a_subresource_of_a_group_is_named_as_rules_name_it() -> None:
    (role, _) = grants([right("get", "deployments.apps/scale")], name="a", account="a", namespace="s")
    assert role["rules"] == [{"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get"]}]


def test_handlers_of_projects_alone_need_nothing_in_the_whole_cluster() -> None:
    handlers = {name: found for name, found in load_handlers().items() if ".project." in name}
    settings = load(None, environment_of(PROXY__LISTEN_PORT="0")).settings
    assert {
        n.permission.namespace
        for n in needs(settings, handlers)
        if n.permission.service == "kubernetes" and n.event != "agentd"
    } == {"conveyor-system"}


# -- AWS ---------------------------------------------------------------------------------------------------------------


def test_a_policy_allows_each_right_once_and_on_its_own_resource() -> None:
    wanted = {(p.action, p.resource) for p in needed() if p.service == "aws"}
    allowed = [
        (action, resource) for s in made_policy()["Statement"] for action in s["Action"] for resource in s["Resource"]
    ]
    assert sorted(allowed) == sorted(wanted)


@pytest.mark.parametrize(
    ("region", "arn"),
    [
        ("eu-west-1", "arn:aws:ecr:eu-west-1:*:repository/conveyor/data-plane/package/*"),
        ("us-gov-west-1", "arn:aws-us-gov:ecr:us-gov-west-1:*:repository/conveyor/data-plane/package/*"),
        ("cn-north-1", "arn:aws-cn:ecr:cn-north-1:*:repository/conveyor/data-plane/package/*"),
    ],
)
def test_a_policy_is_for_the_region_of_the_settings(region: str, arn: str) -> None:
    document = made_policy(AWS__REGION=region)
    assert arn in [resource for s in statements(document, "ecr:CreateRepository") for resource in s["Resource"]]
    (commands,) = {
        arn for s in statements(document, "sqs:ReceiveMessage") for arn in s["Resource"] if arn.endswith(":commands")
    }
    assert ":eu-west-1:111122223333:" in commands, "a queue's own URL says where it is"


def test_roles_are_made_only_with_the_boundary_of_the_settings() -> None:
    issuer, boundary = "oidc.example/id/1", "arn:aws:iam::111122223333:policy/boundary"
    document = made_policy(
        IDENTITIES__PROVIDER="aws",
        IDENTITIES__OIDC_ISSUER_URL=f"https://{issuer}",
        IDENTITIES__OIDC_PROVIDER_ARN=f"arn:aws:iam::111122223333:oidc-provider/{issuer}",
        IDENTITIES__PERMISSIONS_BOUNDARY=boundary,
    )
    for action in ("iam:CreateRole", "iam:AttachRolePolicy", "iam:PutRolePermissionsBoundary"):
        (statement,) = statements(document, action)
        assert statement["Condition"] == {"StringEquals": {"iam:PermissionsBoundary": boundary}}
        assert statement["Resource"] == ["arn:aws:iam::*:role/conveyor/conveyor-*"]
    assert not statements(document, "iam:DeleteRolePermissionsBoundary")


@pytest.mark.parametrize(
    ("key", "arn", "alias"),
    [
        ("arn:aws:kms:eu-west-1:111122223333:key/1", "arn:aws:kms:eu-west-1:111122223333:key/1", None),
        ("1234abcd", "arn:aws:kms:*:*:key/1234abcd", None),
        ("alias/images", "arn:aws:kms:*:*:key/*", "alias/images"),
        ("arn:aws:kms:eu-west-1:111122223333:alias/images", "arn:aws:kms:eu-west-1:111122223333:key/*", "alias/images"),
    ],
)
def test_a_key_is_named_as_policies_name_keys(key: str, arn: str, alias: str | None) -> None:
    (grant,) = statements(made_policy(REGISTRY__KMS_KEY=key), "kms:CreateGrant")
    assert grant["Resource"] == [arn]
    assert grant["Condition"]["Bool"] == {"kms:GrantIsForAWSResource": "true"}, "for ECR, and for nobody else"
    assert grant["Condition"].get("ForAnyValue:StringEquals") == (alias and {"kms:ResourceAliases": alias})


@pytest.mark.parametrize("key", ["1234abcd", "alias/images"])
def test_policies_are_well_formed_to_an_independent_reader(key: str) -> None:
    IAMPolicyDocumentValidator(json.dumps(made_policy(REGISTRY__KMS_KEY=key))).validate()
    IAMPolicyDocumentValidator((DEPLOY / "permissions" / "iam-policy.json").read_text()).validate()


def test_a_queue_whose_arn_is_not_known_is_refused_by_name() -> None:
    environment = {name: value for name, value in environment_of().items() if "DEAD_LETTER" not in name}
    settings = load(None, environment).settings
    with pytest.raises(NoArn, match="redrive policy names"):
        policy([need.permission for need in needs(settings, load_handlers())], settings)


def test_a_cluster_of_eks_is_described() -> None:
    document = made_policy(CLUSTER__ACCESS="eks", CLUSTER__EKS_CLUSTER="prd")
    (statement,) = statements(document, "eks:DescribeCluster")
    assert statement["Resource"] == ["arn:aws:eks:*:*:cluster/prd"]


# -- Azure -------------------------------------------------------------------------------------------------------------


def test_a_role_of_azure_tells_data_from_what_holds_it() -> None:
    account = "https://account.queue.core.windows.net"
    permissions = needed(
        COMMANDS__QUEUE_URL=f"{account}/commands",
        COMMANDS__DEAD_LETTER_QUEUE_URL=f"{account}/letters",
        REPORTS_QUEUE_URL=f"{account}/reports",
        LEDGER__KIND="azure_table",
        LEDGER__AZURE_TABLE__ACCOUNT_URL="https://account.table.core.windows.net",
        LEDGER__AZURE_TABLE__CREATE_TABLE="true",
    )
    scope = "/subscriptions/1/resourceGroups/a"
    definition = role_definition(permissions, name="agent", scope=scope)
    storage = "Microsoft.Storage/storageAccounts"
    assert definition["Actions"] == [f"{storage}/queueServices/queues/read", f"{storage}/tableServices/tables/write"]
    assert f"{storage}/queueServices/queues/messages/process/action" in definition["DataActions"]
    assert f"{storage}/tableServices/tables/entities/read" in definition["DataActions"]
    assert definition["AssignableScopes"] == [scope]
    wanted = {p.action for p in permissions if p.service == "azure"}
    assert wanted == {*definition["Actions"], *definition["DataActions"]}


# -- the command -------------------------------------------------------------------------------------------------------


def printed(*arguments: str, code: int = 0, example: str = "aws.yaml") -> str:
    """What `agentd schema permissions` prints with an example's settings."""
    given = ["--config", str(DEPLOY / "settings" / example), "schema", *arguments]
    ran = CliRunner(env=dict.fromkeys(ENVIRONMENT, "")).invoke(main, given)
    assert ran.exit_code == code, ran.output
    return ran.output


def test_what_is_committed_is_what_the_command_prints() -> None:
    committed = DEPLOY / "permissions"
    assert printed("permissions", "-o", "rbac") == (committed / "rbac.yaml").read_text()
    assert printed("permissions", "-o", "iam") == (committed / "iam-policy.json").read_text()
    scope = json.loads((committed / "azure-role.json").read_text())["AssignableScopes"][0]
    azure = printed("permissions", "-o", "azure", "--scope", scope, example="azure.yaml")
    assert azure == (committed / "azure-role.json").read_text()
    assert {document["kind"] for document in yaml.safe_load_all((committed / "rbac.yaml").read_text())} == {
        "ClusterRole",
        "ClusterRoleBinding",
    }
    assert len("".join((committed / "iam-policy.json").read_text().split())) < MOST_OF_A_POLICY


@pytest.mark.parametrize(
    ("arguments", "example", "words"),
    [
        (("permissions", "-o", "azure"), "azure.yaml", "--scope is missing"),
        (("permissions", "-o", "azure", "--scope", "/subscriptions/1"), "aws.yaml", "none of them is of Azure"),
        (("events", "-o", "rbac"), "aws.yaml", "for permissions alone"),
    ],
)
def test_what_cannot_be_printed_is_refused_with_the_reason(
    arguments: tuple[str, ...], example: str, words: str
) -> None:
    assert words in printed(*arguments, code=2, example=example)


def test_without_a_cluster_there_are_no_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTD_CLUSTER__ACCESS", "none")
    assert "without a cluster" in printed("permissions", "-o", "rbac", code=2)


def test_without_settings_no_document_is_made() -> None:
    ran = CliRunner(env=dict.fromkeys(ENVIRONMENT, "")).invoke(main, ["schema", "permissions", "-o", "iam"])
    assert ran.exit_code == 2
    assert "AGENTD_CLUSTER_ID" in ran.output

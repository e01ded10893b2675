"""What an installation needs to be allowed, by its settings."""

import pytest

from agentd.cli.permissions import AGENT, Need, default_groups, needs, of_handlers
from agentd.core import Permission
from agentd.dispatch import load_handlers
from agentd.settings import load
from tests.unit.cli.doctor.rig import ENVIRONMENT

COMMANDS = "arn:aws:sqs:eu-west-1:111122223333:commands"


def needed(**variables: str) -> tuple[Need, ...]:
    """With good settings, but for these variables."""
    environment = {**ENVIRONMENT, **{f"AGENTD_{name}": value for name, value in variables.items()}}
    return needs(load(None, environment).settings, load_handlers())


def test_the_agent_itself_needs_its_queues_and_a_login() -> None:
    own = {need.permission for need in needed() if need.event == AGENT}
    assert Permission("aws", "sqs:ReceiveMessage", COMMANDS) in own
    assert Permission("aws", "sqs:SendMessage", COMMANDS) not in own, "commands come from the control plane"
    assert Permission("aws", "ecr:GetAuthorizationToken", "*") in own
    sent_to = {permission.resource for permission in own if permission.action == "sqs:SendMessage"}
    assert len(sent_to) == 2, "reports, and the dead letters that the redrive policy names"
    letters = f"{ENVIRONMENT['AGENTD_COMMANDS__QUEUE_URL']}-letters"
    own = {need.permission for need in needed(COMMANDS__DEAD_LETTER_QUEUE_URL=letters)}
    assert Permission("aws", "sqs:SendMessage", f"{COMMANDS}-letters") in own


def test_who_repairs_by_itself_sends_itself_events() -> None:
    def on_commands(found: tuple[Need, ...]) -> set[str]:
        return {need.permission.action for need in found if need.permission.resource.endswith("commands")}

    asking = needed(DRIFT__REPAIR='["environment"]')
    assert on_commands(asking) - on_commands(needed()) == {"sqs:SendMessage"}
    account = {
        "COMMANDS__QUEUE_URL": "https://account.queue.core.windows.net/commands",
        "REPORTS_QUEUE_URL": "https://account.queue.core.windows.net/reports",
    }
    azure = on_commands(needed(**account, DRIFT__REPAIR='["environment"]')) - on_commands(needed(**account))
    assert {action.rpartition("/queues/")[2] for action in azure} == {"messages/add/action"}


def test_queues_of_other_kinds_need_rights_of_their_own_cloud_or_none() -> None:
    account = "https://account.queue.core.windows.net"
    azure = needed(COMMANDS__QUEUE_URL=f"{account}/commands", REPORTS_QUEUE_URL=f"{account}/reports")
    own = {need.permission for need in azure if need.event == AGENT}
    queues = "Microsoft.Storage/storageAccounts/queueServices/queues"
    assert Permission("azure", f"{queues}/messages/process/action", f"{account}/commands") in own
    assert Permission("azure", f"{queues}/messages/add/action", f"{account}/commands-dead-letters") in own
    assert Permission("azure", f"{queues}/messages/process/action", f"{account}/reports") not in own
    file = "file:///var/lib/agentd/queues.db?name"
    embedded = needed(COMMANDS__QUEUE_URL=f"{file}=commands", REPORTS_QUEUE_URL=f"{file}=reports")
    for needs_ in (azure, embedded):
        assert not any(need.permission.action.startswith("sqs:") for need in needs_)
    assert not any(need.permission.service == "azure" for need in embedded)


def test_a_ledger_needs_rights_on_its_table() -> None:
    def own(**variables: str) -> set[Permission]:
        found = needed(**variables)
        return {
            need.permission
            for need in found
            if "dynamodb" in need.permission.action or "/tables" in need.permission.action
        }

    assert own() == set()
    table = "arn:aws:dynamodb:*:*:table/mine"
    dynamodb = {"LEDGER__KIND": "dynamodb", "LEDGER__DYNAMODB__TABLE": "mine"}
    writes = Permission("aws", "dynamodb:PutItem", table)
    makes = Permission("aws", "dynamodb:CreateTable", table)
    assert (writes in own(**dynamodb), makes in own(**dynamodb)) == (True, False)
    assert makes in own(**dynamodb, LEDGER__DYNAMODB__CREATE_TABLE="true")
    account = "https://account.table.core.windows.net"
    azure = own(LEDGER__KIND="azure_table", LEDGER__AZURE_TABLE__ACCOUNT_URL=account)
    entities = "Microsoft.Storage/storageAccounts/tableServices/tables/entities"
    assert Permission("azure", f"{entities}/add/action", f"{account}/agentdledger") in azure


def test_a_bucket_is_needed_where_it_is_set() -> None:
    assert not any(need.permission.action.startswith("s3:") for need in needed())
    own = {need.permission for need in needed(ARTIFACTS__BUCKET="artifacts", ARTIFACTS__PREFIX="large")}
    assert Permission("aws", "s3:PutObject", "arn:aws:s3:::artifacts/large/*") in own


@pytest.mark.parametrize(
    ("given", "resource"),
    [
        ("arn:aws:secretsmanager:eu-west-1:111122223333:secret:keys-AbCdEf",) * 2,
        ("agent/keys", "arn:aws:secretsmanager:*:*:secret:agent/keys-??????"),
    ],
)
def test_a_secret_is_needed_where_it_is_set(given: str, resource: str) -> None:
    assert not any(need.permission.action.startswith("secretsmanager:") for need in needed())
    own = {need.permission for need in needed(SIGNATURES__KEYS_SECRET=given)}
    assert Permission("aws", "secretsmanager:GetSecretValue", resource) in own


@pytest.mark.parametrize("cluster", [True, False])
@pytest.mark.parametrize("roles", [True, False])
def test_cluster_and_roles_are_needed_where_they_are_part_of_the_installation(cluster: bool, roles: bool) -> None:
    issuer = "oidc.example/id/1"
    settings = {"CLUSTER__ACCESS": "in_cluster"} if cluster else {}
    if roles:
        settings |= {
            "IDENTITIES__PROVIDER": "aws",
            "IDENTITIES__OIDC_ISSUER_URL": f"https://{issuer}",
            "IDENTITIES__OIDC_PROVIDER_ARN": f"arn:aws:iam::111122223333:oidc-provider/{issuer}",
        }
    found = {need.permission for need in needed(**settings)}
    assert any(permission.service == "kubernetes" for permission in found) is cluster
    assert any(permission.action.startswith("iam:") for permission in found) is roles


def test_before_anything_is_set_up_the_handlers_own_needs_are_known() -> None:
    found = of_handlers(load_handlers(), default_groups())
    assert {need.permission.service for need in found} == {"aws", "kubernetes"}
    assert not any("{" in need.permission.resource for need in found)

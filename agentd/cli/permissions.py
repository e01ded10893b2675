"""What this installation must be allowed to do: what its handlers declare, and what the agent itself needs."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from string import Formatter

from agentd.bus import QueueKind, kind_of
from agentd.bus.address import azure_dead_letters_url
from agentd.core import Handler, Permission
from agentd.ledger.config import LedgerConfig, LedgerKind
from agentd.platform.config import ClusterConfig
from agentd.settings import Settings

AGENT = "agentd"
"""Stands in the place of an event's type for what the agent itself needs."""

Groups = Mapping[str, object]
"""Settings by their name at the top of the tree: what placeholders of resources are filled from."""

_HOLDS = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes")
QUEUE_ACTIONS: Mapping[str, tuple[str, ...]] = {
    "commands": _HOLDS,
    "dead-letters": (*_HOLDS, "sqs:SendMessage"),
    "reports": ("sqs:SendMessage", "sqs:GetQueueAttributes"),
}
"""By the queue's name. Sending dead letters back (`agentd dlq redrive`) needs sqs:SendMessage on commands as well."""

_AZURE = "Microsoft.Storage/storageAccounts/queueServices/queues"
_AZURE_HOLDS = (f"{_AZURE}/read", f"{_AZURE}/messages/process/action", f"{_AZURE}/messages/write")
AZURE_ACTIONS: Mapping[str, tuple[str, ...]] = {
    "commands": _AZURE_HOLDS,
    "dead-letters": (*_AZURE_HOLDS, f"{_AZURE}/messages/add/action"),
    "reports": (f"{_AZURE}/read", f"{_AZURE}/messages/add/action"),
}
"""The same on Azure Storage Queues. To make the dead-letter queue takes the right to write queues, once."""

LEDGER_ACTIONS = (
    "dynamodb:BatchGetItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"
)  # fmt: skip
"""On the ledger's table. A transaction needs the rights of what it is made of, and none of its own."""
MAKES_TABLE = ("dynamodb:CreateTable", "dynamodb:DescribeTable")

_TABLES = "Microsoft.Storage/storageAccounts/tableServices/tables"
AZURE_LEDGER_ACTIONS = tuple(
    f"{_TABLES}/entities/{action}" for action in ("read", "write", "delete", "add/action", "update/action")
)
"""The same on an Azure Table; all are part of the role Storage Table Data Contributor, as is making the table."""

_PROXY_READS: Mapping[str, tuple[str, ...]] = {
    "configmaps": ("list", "watch"),
    "deployments.apps": ("get",),
    "jobs.batch": ("get",),
    "namespaces": ("get", "list", "watch"),
    "nodes": ("list",),
    "pods": ("get",),
    "replicasets.apps": ("get",),
    "serviceaccounts": ("get",),
    "statefulsets.apps": ("get",),
}
"""What the proxy's answers are read from, by resource: environments and nodes, and the way from a pod back to its event."""

_STATE_READS = ("configmaps", "deployments.apps", "namespaces", "nodes", "pods", "statefulsets.apps")
"""What states are read from."""

_READS_SECRET = ("secretsmanager:GetSecretValue",)

_QUEUE_URL = re.compile(r"^https?://(?:sqs\.([a-z0-9-]+)|([a-z0-9-]+)\.queue)\.amazonaws\.com[^/]*/(\d{12})/([^/]+)$")


@dataclass(frozen=True, slots=True, order=True)
class Need:
    """One right, and the event that needs it; AGENT for the agent itself."""

    permission: Permission
    event: str


def needs(settings: Settings, handlers: Mapping[str, Handler]) -> tuple[Need, ...]:
    """Everything that an installation with these settings needs."""
    declared = of_handlers(handlers, groups_of(settings))
    return (*of_agent(settings), *(need for need in declared if _applies(need.permission, settings)))


def _applies(permission: Permission, settings: Settings) -> bool:
    """Whether this installation has what the right is about."""
    if permission.service == "kubernetes":
        return settings.cluster.access != "none"
    return settings.identities.provider != "none" or not permission.action.startswith("iam:")


def groups_of(settings: Settings) -> Groups:
    """The settings as placeholders name them."""
    return {name: getattr(settings, name) for name in Settings.model_fields}


def default_groups() -> Groups:
    """The defaults of those settings that have one, where the rest is not set up yet."""
    return {
        name: field.get_default()
        for name, field in Settings.model_fields.items()
        if not field.is_required() and field.default_factory is None
    }


def of_handlers(handlers: Mapping[str, Handler], groups: Groups) -> tuple[Need, ...]:
    """What the handlers declare, by event. What rests on a setting that is not set is not needed."""
    return tuple(
        Need(replace(declared, resource=resource, namespace=namespace), event_type)
        for event_type, handler in sorted(handlers.items())
        for declared in sorted(handler.permissions)
        if (resource := _filled(declared.resource, groups)) is not None
        and (namespace := _filled(declared.namespace, groups)) is not None
    )


def of_agent(settings: Settings) -> tuple[Need, ...]:
    """What the agent needs beside its handlers: queues and ledger, a login to the registry, the artifact store, the proxy's

    reads of the cluster.
    """
    queues = {
        "commands": settings.commands.queue_url,
        "dead-letters": settings.commands.dead_letter_queue_url or _beside(settings.commands.queue_url),
        "reports": settings.reports_queue_url,
    }
    found = [need for name, url in sorted(queues.items()) for need in _of_queue_at(name, url)]
    if settings.drift.repair:
        found += _of_asking(settings.commands.queue_url)
    found += [*_of_ledger(settings.ledger), *_of_secret(settings.signatures.keys_secret), *_of_audit(settings)]
    found += [*_of_registry(), *_of_artifacts(settings.artifacts.bucket, settings.artifacts.prefix)]
    return (*found, *_of_cluster(settings.cluster), *_of_proxy(settings), *_of_states(settings))


def _of_ledger(config: LedgerConfig) -> Iterator[Need]:
    """By where it is kept; a file needs no right in any cloud."""
    match config.kind:
        case LedgerKind.SQLITE:
            return
        case LedgerKind.DYNAMODB:
            actions = LEDGER_ACTIONS + (MAKES_TABLE if config.dynamodb.create_table else ())
            yield from _on(f"arn:aws:dynamodb:*:*:table/{config.dynamodb.table}", actions)
        case LedgerKind.AZURE_TABLE:
            actions = AZURE_LEDGER_ACTIONS + ((f"{_TABLES}/write",) if config.azure_table.create_table else ())
            url = f"{config.azure_table.account_url}/{config.azure_table.table}"
            yield from (Need(Permission("azure", action, url), AGENT) for action in sorted(actions))


def _of_audit(settings: Settings) -> Iterator[Need]:
    config = settings.audit
    if config.enabled and config.bucket is not None:
        place = f"{config.bucket}/{config.prefix}/{settings.tenant_id}/{settings.cluster_id}"
        yield from _on(f"arn:aws:s3:::{place}/*", ("s3:GetObject", "s3:PutObject"))


def _of_cluster(config: ClusterConfig) -> Iterator[Need]:
    if config.access == "eks":
        yield from _on(f"arn:aws:eks:*:*:cluster/{config.eks_cluster}", ("eks:DescribeCluster",))


def _of_proxy(settings: Settings) -> Iterator[Need]:
    if settings.proxy.listen_port is not None and settings.cluster.access != "none":
        yield from of_proxy()


def _of_states(settings: Settings) -> Iterator[Need]:
    if settings.state.enabled and settings.cluster.access != "none":
        yield from of_states()


def of_states() -> Iterator[Need]:
    """What the states are read from that the control plane is told."""
    for resource in _STATE_READS:
        yield from (Need(Permission("kubernetes", verb, resource), AGENT) for verb in ("list", "watch"))


def of_proxy() -> Iterator[Need]:
    """What the proxy reads in the cluster."""
    for resource, verbs in _PROXY_READS.items():
        yield from (Need(Permission("kubernetes", verb, resource), AGENT) for verb in verbs)


def _of_queue_at(name: str, url: str) -> Iterator[Need]:
    """By the queue's URL; a file needs no right in any cloud."""
    match kind_of(url):
        case QueueKind.SQS:
            yield from of_queue(name, arn_of(url) or url)
        case QueueKind.AZURE:
            yield from (Need(Permission("azure", action, url), AGENT) for action in sorted(AZURE_ACTIONS[name]))
        case QueueKind.EMBEDDED:
            return


def _of_asking(commands_url: str) -> Iterator[Need]:
    """What asking for a repair needs: an event on the commands queue."""
    match kind_of(commands_url):
        case QueueKind.SQS:
            yield from _on(arn_of(commands_url) or commands_url, ("sqs:SendMessage",))
        case QueueKind.AZURE:
            yield Need(Permission("azure", f"{_AZURE}/messages/add/action", commands_url), AGENT)
        case QueueKind.EMBEDDED:
            return


def _beside(commands_url: str) -> str:
    """The dead-letter queue that no setting names."""
    match kind_of(commands_url):
        case QueueKind.AZURE:
            return azure_dead_letters_url(commands_url)
        case QueueKind.EMBEDDED:
            return commands_url
        case QueueKind.SQS:
            return "(what the commands queue's redrive policy names)"


def of_queue(name: str, arn: str) -> Iterator[Need]:
    """What the agent needs on one of its queues of SQS."""
    return _on(arn, QUEUE_ACTIONS[name])


def of_queue_key(arn: str) -> Iterator[Need]:
    """What the agent needs on a key that encrypts one of its queues. Source: SQS' documentation of key management."""
    return _on(arn, ("kms:Decrypt", "kms:GenerateDataKey"))


def arn_of(url: str) -> str | None:
    """The ARN of the queue behind a URL of SQS itself; another endpoint's does not tell."""
    found = _QUEUE_URL.match(url)
    return found and f"arn:aws:sqs:{found[1] or found[2]}:{found[3]}:{found[4]}"


def _of_registry() -> Iterator[Need]:
    return _on("*", ("ecr:GetAuthorizationToken",))


def _of_secret(name: str | None) -> Iterator[Need]:
    if name is not None:
        # The ARN of a secret that is given by its name ends in six letters that only AWS knows.
        yield from _on(
            name if name.startswith("arn:") else f"arn:aws:secretsmanager:*:*:secret:{name}-??????", _READS_SECRET
        )


def _of_artifacts(bucket: str | None, prefix: str) -> Iterator[Need]:
    if bucket is not None:
        yield from _on(f"arn:aws:s3:::{bucket}/{prefix}/*", ("s3:GetObject", "s3:PutObject"))


def _on(resource: str, actions: Iterable[str]) -> Iterator[Need]:
    return (Need(Permission("aws", action, resource), AGENT) for action in sorted(actions))


def _filled(resource: str, groups: Groups) -> str | None:
    """The resource with every placeholder's setting in its place; None when one is not set."""
    for _, name, _, _ in Formatter().parse(resource):
        if name is not None and Formatter().get_field(name, (), groups)[0] is None:
            return None
    return resource.format(**groups)

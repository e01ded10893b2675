"""The customer's side of the boundary, opened as the settings say."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TypeVar

from agentd.app.boundary import Boundary
from agentd.app.controls import Controls
from agentd.app.documents import Document, Name, Read, file, secret
from agentd.app.parts import Replica
from agentd.bus.sqs_calls import new_session
from agentd.core import AuditLog
from agentd.core.globs import Globs
from agentd.dispatch.policy import Budget, Gate, Policy, let_in, read_policy
from agentd.events import (
    KeySet,
    PublicKey,
    SignatureType,
    SigningKey,
    Verifier,
    accept_unsigned,
    leave_unsigned,
    sign,
    signing_key,
)
from agentd.ledger import Ledger
from agentd.platform.aws.secrets import AwsSecrets
from agentd.platform.aws.session import AwsSession

T = TypeVar("T")

_OWN_EVENTS = "conveyor.*.reconcile.v1"


async def open_boundary(stack: AsyncExitStack, replica: Replica, ledger: Ledger, audit: AuditLog) -> Boundary:
    """Everything, with its documents read, until the stack closes.

    PermanentError(invalid_request) names the document that cannot be used.
    """
    settings, runtime, metrics = replica.settings, replica.runtime, replica.metrics
    keys, policy, key = await _keys(stack, replica), _policy(replica), _signing_key(replica)
    documents = tuple(document for document in (keys, policy, key) if document is not None)
    for document in documents:
        await document.open()
    return Boundary(
        verify=accept_unsigned
        if keys is None
        else Verifier(settings.signatures, _with_own(keys, key, settings.source), runtime.now),
        judge=let_in if policy is None else Gate(policy.current, ledger, runtime, metrics, audit).judge,
        spend=Budget(settings.budget, ledger, runtime).spend,
        sign=leave_unsigned if key is None else lambda text: sign(text, key.current(), SignatureType.REPORT),
        seal=leave_unsigned if key is None else lambda text: sign(text, key.current()),
        controls=Controls(
            ledger,
            replica.intake,
            settings.budget,
            audit=audit,
            runtime=runtime,
            metrics=metrics,
            health=replica.health,
        ),
        documents=documents,
    )


def _with_own(keys: Document[KeySet], key: Document[SigningKey] | None, source: str) -> Callable[[], KeySet]:
    """The customer's keys, and the agent's own one, which vouches for what the agent asks of itself and for nothing else."""
    if key is None:
        return keys.current

    def both() -> KeySet:
        own = key.current()
        public = PublicKey(own.id, own.key.public_key(), events=Globs.of([_OWN_EVENTS]), sources=Globs.of([source]))
        return KeySet({own.id: public, **keys.current().keys})

    return both


async def _keys(stack: AsyncExitStack, replica: Replica) -> Document[KeySet] | None:
    config = replica.settings.signatures
    if config.keys_secret is not None:
        aws = replica.settings.aws
        session = await stack.enter_async_context(AwsSession(aws, new_session(aws.profile)))
        store = AwsSecrets(await session.secrets(), metrics=replica.metrics, runtime=replica.runtime)
        read, where = secret(store, config.keys_secret), f"signatures.keys_secret {config.keys_secret}"
    elif config.keys_file is not None:
        read, where = file(config.keys_file), f"signatures.keys_file {config.keys_file}"
    else:
        return None
    return _document(replica, "keys", where, read, KeySet.parse, reload_s=config.reload_s)


def _policy(replica: Replica) -> Document[Policy] | None:
    config = replica.settings.policy
    if config.file is None:
        return None
    return _document(
        replica, "policy", f"policy.file {config.file}", file(config.file), read_policy, reload_s=config.reload_s
    )


def _signing_key(replica: Replica) -> Document[SigningKey] | None:
    path = replica.settings.reports.signing_key_file
    if path is None:
        return None
    reload_s = replica.settings.signatures.reload_s
    return _document(
        replica, "signing-key", f"reports.signing_key_file {path}", file(path), signing_key, reload_s=reload_s
    )


def _document(
    replica: Replica, name: Name, where: str, read: Read, parse: Callable[[bytes], T], *, reload_s: float
) -> Document[T]:
    return Document(
        name,
        where,
        read,
        parse,
        reload_s=reload_s,
        runtime=replica.runtime,
        metrics=replica.metrics,
        health=replica.health,
    )

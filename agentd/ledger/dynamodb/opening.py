"""Opening the ledger in its table."""

from aiobotocore.session import AioSession

from agentd.core import AwsConfig, Runtime
from agentd.ledger.config import LedgerConfig
from agentd.ledger.documents import DocumentLedger
from agentd.ledger.documents.transaction import Observe
from agentd.ledger.dynamodb.store import DynamoDbStore


async def open_dynamodb_ledger(
    config: LedgerConfig,
    aws: AwsConfig,
    runtime: Runtime,
    *,
    observe: Observe,
    read_only: bool = False,
    session: AioSession | None = None,
) -> DocumentLedger:
    """Open the table, making it if settings allow that; `read_only` takes it as it is.

    PermanentError says in one sentence why the table cannot be used; TransientError(unavailable): DynamoDB does not answer.
    """
    store = DynamoDbStore(config.dynamodb, aws, runtime, session)
    await store.open(create=config.dynamodb.create_table and not read_only)
    return await DocumentLedger.open(
        store, runtime, observe, operation_timeout_s=config.operation_timeout_s, read_only=read_only
    )

"""The ledger in a DynamoDB table."""

from agentd.ledger.dynamodb.opening import open_dynamodb_ledger
from agentd.ledger.dynamodb.store import DynamoDbStore

__all__ = ["DynamoDbStore", "open_dynamodb_ledger"]

"""With what a queue of Azure is asked: an identity, or for an emulator the key in a connection string."""

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from azure.core.credentials import AzureSasCredential

from agentd.bus.address import AzureAddress
from agentd.core import AzureConfig, unusable_connection_string

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

    Credential = dict[str, str] | AzureSasCredential | AsyncTokenCredential


async def credential(azure: AzureConfig, address: AzureAddress, stack: AsyncExitStack) -> "Credential":
    """That of the connection string when one is set; else of the identity that the environment gives, closed with the stack."""
    text = await asyncio.to_thread(azure.connection_string)
    if text is not None:
        return of_connection_string(text)
    if not address.account_url.startswith("https:"):
        raise unusable_connection_string(
            f"{address.account_url} is not encrypted, and an identity is not sent in the open: set one of them"
        )
    from azure.identity.aio import DefaultAzureCredential

    return await stack.enter_async_context(DefaultAzureCredential())


def of_connection_string(text: str) -> "dict[str, str] | AzureSasCredential":
    """The key or the signature in it. Where the account is, the queue's own URL says. PermanentError when there is neither."""
    parts = dict(part.split("=", 1) for part in text.strip().split(";") if "=" in part)
    if {"AccountName", "AccountKey"} <= parts.keys():
        return {"account_name": parts["AccountName"], "account_key": parts["AccountKey"]}
    if "SharedAccessSignature" in parts:
        return AzureSasCredential(parts["SharedAccessSignature"])
    raise unusable_connection_string("there is neither AccountName and AccountKey nor SharedAccessSignature in it")

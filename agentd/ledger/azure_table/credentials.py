"""With what a table of Azure is asked: an identity, or for an emulator the key in a connection string."""

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential

from agentd.core import AzureConfig, unusable_connection_string

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

    Credential = AzureNamedKeyCredential | AzureSasCredential | AsyncTokenCredential


async def credential(azure: AzureConfig, account_url: str, stack: AsyncExitStack) -> "Credential":
    """That of the connection string when one is set; else of the identity that the environment gives, closed with the stack."""
    text = await asyncio.to_thread(azure.connection_string)
    if text is not None:
        return _of_connection_string(text)
    if not account_url.startswith("https:"):
        raise unusable_connection_string(
            f"{account_url} is not encrypted, and an identity is not sent in the open: set one of them"
        )
    from azure.identity.aio import DefaultAzureCredential

    return await stack.enter_async_context(DefaultAzureCredential())


def _of_connection_string(text: str) -> AzureNamedKeyCredential | AzureSasCredential:
    """The key or the signature in it. Where the account is, settings say. PermanentError when there is neither."""
    parts = dict(part.split("=", 1) for part in text.strip().split(";") if "=" in part)
    if {"AccountName", "AccountKey"} <= parts.keys():
        return AzureNamedKeyCredential(parts["AccountName"], parts["AccountKey"])
    if "SharedAccessSignature" in parts:
        return AzureSasCredential(parts["SharedAccessSignature"])
    raise unusable_connection_string("there is neither AccountName and AccountKey nor SharedAccessSignature in it")

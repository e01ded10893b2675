"""With what a table of Azure is asked: an identity, or for an emulator the key in a connection string."""

import asyncio
import os
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential

from agentd.core import AzureConfig, PermanentError, Reason

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

    Credential = AzureNamedKeyCredential | AzureSasCredential | AsyncTokenCredential


async def credential(azure: AzureConfig, account_url: str, stack: AsyncExitStack) -> "Credential":
    """That of the connection string when one is set; else of the identity that the environment gives, closed with the stack."""
    text = await asyncio.to_thread(_connection_string, azure)
    if text is not None:
        return _of_connection_string(text)
    if not account_url.startswith("https:"):
        raise _unusable(f"{account_url} is not encrypted, and an identity is not sent in the open: set one of them")
    from azure.identity.aio import DefaultAzureCredential

    return await stack.enter_async_context(DefaultAzureCredential())


def _of_connection_string(text: str) -> AzureNamedKeyCredential | AzureSasCredential:
    """The key or the signature in it. Where the account is, settings say. PermanentError when there is neither."""
    parts = dict(part.split("=", 1) for part in text.strip().split(";") if "=" in part)
    if {"AccountName", "AccountKey"} <= parts.keys():
        return AzureNamedKeyCredential(parts["AccountName"], parts["AccountKey"])
    if "SharedAccessSignature" in parts:
        return AzureSasCredential(parts["SharedAccessSignature"])
    raise _unusable("there is neither AccountName and AccountKey nor SharedAccessSignature in it")


def _connection_string(azure: AzureConfig) -> str | None:
    if (file := azure.connection_string_file) is not None:
        try:
            return file.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise _unusable(f"the file cannot be read: {error}") from error
    if (variable := azure.connection_string_variable) is not None:
        if variable not in os.environ:
            raise _unusable(f"the environment variable {variable} is not set")
        return os.environ[variable]
    return None


def _unusable(why: str) -> PermanentError:
    return PermanentError(Reason.INVALID_REQUEST, f"azure.connection_string_file or _variable: {why}")

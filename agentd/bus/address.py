"""Which queue a URL names: its kind, and where it is.

| URL | kind |
|---|---|
| `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`, and any other http(s) URL | SQS, or an emulator of it |
| `https://ACCOUNT.queue.core.windows.net/NAME`, and the same in other clouds of Azure | Azure Storage Queue |
| `azure+https://HOST/NAME`, `azure+http://HOST:PORT/ACCOUNT/NAME` | Azure Storage Queue by another name, or an emulator of it |
| `file:///FOLDER/FILE?name=NAME` | embedded, in a file of this machine |
"""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

from agentd.bus.facts import QueueKind
from agentd.core import PermanentError, Reason

_AZURE_HOST = re.compile(r"^https?://[a-z0-9.-]+\.queue\.(?:core|storage)\.")
_AZURE_SCHEME = "azure+"
_EMBEDDED_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_FIFO = ".fifo"
_DEAD_LETTERS = "-dead-letters"


@dataclass(frozen=True, slots=True)
class AzureAddress:
    """A queue of a storage account."""

    account_url: str
    queue: str


@dataclass(frozen=True, slots=True)
class EmbeddedAddress:
    """A queue in a file. Its name ends in `.fifo` when it keeps the order of groups, as on SQS."""

    path: Path
    queue: str

    @property
    def url(self) -> str:
        """As settings name it."""
        return f"file://{quote(str(self.path))}?name={self.queue}"

    @property
    def fifo(self) -> bool:
        """Whether groups keep their order."""
        return self.queue.endswith(_FIFO)

    @property
    def dead_letters(self) -> "EmbeddedAddress":
        """The queue for dead letters beside it, of the same type."""
        name = self.queue.removesuffix(_FIFO) + _DEAD_LETTERS
        return EmbeddedAddress(self.path, name + _FIFO if self.fifo else name)


def kind_of(url: str) -> QueueKind:
    """The kind of queue that the URL names."""
    if url.startswith("file:"):
        return QueueKind.EMBEDDED
    if url.startswith(_AZURE_SCHEME) or _AZURE_HOST.match(url):
        return QueueKind.AZURE
    return QueueKind.SQS


def name_of(url: str) -> str:
    """The queue's own name, whatever its kind."""
    return embedded_address(url).queue if kind_of(url) is QueueKind.EMBEDDED else url.rsplit("/", 1)[-1]


def azure_address(url: str) -> AzureAddress:
    """PermanentError for a URL that names no queue, or that carries a secret."""
    account_url, _, queue = url.removeprefix(_AZURE_SCHEME).rpartition("/")
    if "?" in url:
        raise _unusable(
            "an Azure queue", "a shared access signature is a secret: leave it out, and see azure.connection_string_*"
        )
    if not urlsplit(account_url).netloc or not queue:
        raise _unusable("an Azure queue", f"{url} is not of the form https://ACCOUNT.queue.core.windows.net/NAME")
    return AzureAddress(account_url, queue)


def azure_dead_letters_url(url: str) -> str:
    """The queue for dead letters beside it."""
    return url + _DEAD_LETTERS


def embedded_address(url: str) -> EmbeddedAddress:
    """PermanentError for a URL that names no file or no queue in it."""
    parts = urlsplit(url)
    names = parse_qs(parts.query).get("name", [])
    if parts.netloc or not parts.path or len(names) != 1 or not _EMBEDDED_NAME.fullmatch(names[0]):
        raise _unusable("an embedded queue", f"{url} is not of the form file:///FOLDER/FILE?name=NAME")
    return EmbeddedAddress(Path(unquote(parts.path)), names[0])


def _unusable(what: str, why: str) -> PermanentError:
    return PermanentError(Reason.INVALID_REQUEST, f"the URL of {what}: {why}")

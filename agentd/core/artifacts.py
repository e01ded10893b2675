"""Where large things are kept: claim checks of events and reports."""

from abc import ABC, abstractmethod


class ArtifactStore(ABC):
    """The data plane's own object store."""

    @abstractmethod
    async def fetch(self, uri: str, *, limit_bytes: int) -> bytes:
        """The object's bytes. PermanentError(data_unavailable): missing, larger than the limit, or not in this store."""

    @abstractmethod
    async def store(self, key: str, data: bytes) -> str:
        """Keep the bytes under the key, and return their URI. Storing the same key again replaces it."""

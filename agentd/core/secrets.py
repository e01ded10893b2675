"""Where secrets are kept: what settings name by reference."""

from abc import ABC, abstractmethod


class SecretStore(ABC):
    """The customer's own store of secrets, for reading."""

    @abstractmethod
    async def fetch(self, name: str, *, limit_bytes: int) -> bytes:
        """The secret's present value. PermanentError: larger than the limit, or not allowed; else TransientError."""

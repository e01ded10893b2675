"""The base of every group of settings."""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from agentd.core.errors import PermanentError
from agentd.core.reasons import Reason


class Config(BaseModel):
    """A frozen group of settings. An unknown key is an error; every field has a description and a unit in its name."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class AwsConfig(Config):
    """Where AWS is. Credentials come from every usual source: environment, profile, web identity, container, instance."""

    region: str | None = None
    """AWS region, for example eu-west-1; from the environment or profile when not given."""
    endpoint_url: str | None = Field(default=None, pattern=r"^https?://\S+$")
    """Another endpoint for all services: an emulator, or a VPC endpoint."""
    profile: str | None = None
    """Profile of the shared AWS configuration."""


class AzureConfig(Config):
    """How Azure is reached. Credentials come from every usual source: workload identity, managed identity, environment."""

    connection_string_variable: str | None = None
    """Name of an environment variable that holds a storage account's connection string: its key or signature is used in place
    of an identity. For an emulator."""
    connection_string_file: Path | None = None
    """The same in a file, such as a mounted secret."""
    poll_max_s: float = Field(default=1.0, ge=0.1, le=20)
    """Longest pause, in seconds, between two looks into an idle Azure Storage Queue, which has no long poll. One second is 2.6
    million calls a month; a busy queue is looked at ten times a second."""
    message_ttl_s: float = Field(default=1_209_600.0, ge=60)
    """Seconds that reports and dead letters are kept on Azure Storage Queues: 14 days, so that there is time to look at them."""

    def connection_string(self) -> str | None:
        """That of the storage account, read now; None when an identity is to be used. PermanentError when it is not there."""
        if (file := self.connection_string_file) is not None:
            try:
                return file.read_text(encoding="utf-8")
            except (OSError, ValueError) as error:
                raise unusable_connection_string(f"the file cannot be read: {error}") from error
        if (variable := self.connection_string_variable) is not None:
            if variable not in os.environ:
                raise unusable_connection_string(f"the environment variable {variable} is not set")
            return os.environ[variable]
        return None


def unusable_connection_string(why: str) -> PermanentError:
    """What is wrong with it, and which settings say where it is."""
    return PermanentError(Reason.INVALID_REQUEST, f"azure.connection_string_file or _variable: {why}")

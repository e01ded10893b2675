"""The base of every group of settings."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


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

"""The base of every group of settings."""

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

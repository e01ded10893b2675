"""What an installation needs to be allowed, as documents that its clouds and its cluster take."""

from agentd.cli.grants.azure import role_definition
from agentd.cli.grants.iam import NoArn, policy
from agentd.cli.grants.rbac import api_resource, everywhere_of, grants, inside_of, rules, yaml_text

__all__ = [
    "NoArn",
    "api_resource",
    "everywhere_of",
    "grants",
    "inside_of",
    "policy",
    "role_definition",
    "rules",
    "yaml_text",
]

"""Types of objects: what fields there are, and how lists and maps merge. Read from the API's own schemas."""

from agentd.embedded.kube.schema.definitions import Definitions, definitions
from agentd.embedded.kube.schema.types import ANY, Field, Form, Scalar, Type, any_of

__all__ = ["ANY", "Definitions", "Field", "Form", "Scalar", "Type", "any_of", "definitions"]

"""Values seen through their types, as server-side apply sees them: field sets, comparison, merge, removal.

Source: structured merge and diff, as the API's reference describes it (list types, FieldsV1, field ownership).
"""

from agentd.embedded.kube.typed.checking import TypedError, check
from agentd.embedded.kube.typed.comparing import Comparison, compare
from agentd.embedded.kube.typed.merging import merge, without
from agentd.embedded.kube.typed.paths import FieldSet, Path, decode_fields, encode_fields, in_order, shown_path
from agentd.embedded.kube.typed.sets import field_set, with_named_fields

__all__ = [
    "Comparison",
    "FieldSet",
    "Path",
    "TypedError",
    "check",
    "compare",
    "decode_fields",
    "encode_fields",
    "field_set",
    "in_order",
    "merge",
    "shown_path",
    "with_named_fields",
    "without",
]

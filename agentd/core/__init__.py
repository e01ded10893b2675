"""The words that all rooms share, and the API for handlers of third parties.

Import from here: the modules below are an order for readers, not an interface.
"""

from agentd.core.artifacts import ArtifactStore
from agentd.core.audit import AuditKind, AuditLog, AuditStore, NoAudit
from agentd.core.collector import spare_the_collector
from agentd.core.config import AwsConfig, AzureConfig, Config, unusable_connection_string
from agentd.core.cuts import Cut, Deadline
from agentd.core.delivery import Delivery, Phase
from agentd.core.differences import differences
from agentd.core.drift import DriftState, Picture
from agentd.core.errors import (
    AgentError,
    LeaseLost,
    NotReady,
    PermanentError,
    PolicyRefused,
    Preempted,
    TransientError,
)
from agentd.core.fence import Fence
from agentd.core.handler import Context, Handler, Permission, RetryPolicy, handler
from agentd.core.holds import Hold
from agentd.core.lean import lean
from agentd.core.locks import Lock, LockMode
from agentd.core.operations import (
    AgentVersion,
    DeadLetterAccount,
    EventAccount,
    Happening,
    NameAccount,
    NoticeAccount,
    Operations,
    OriginAccount,
    Presence,
    RedriveAccount,
    SubjectAccount,
)
from agentd.core.outcome import (
    DeadLetter,
    Defer,
    Delete,
    Disposition,
    Outcome,
    OutcomeKind,
    Retry,
)
from agentd.core.permits import Permit, Permits
from agentd.core.plans import Action, Author, FieldChange, Plan, PlanFence, PlannedChange, change_json
from agentd.core.reasons import Reason
from agentd.core.runtime import Runtime, system_runtime
from agentd.core.secrets import SecretStore
from agentd.core.subject import Subject
from agentd.core.together import side_by_side

__all__ = [
    "Action",
    "AgentError",
    "AgentVersion",
    "ArtifactStore",
    "AuditKind",
    "AuditLog",
    "AuditStore",
    "Author",
    "AwsConfig",
    "AzureConfig",
    "Config",
    "Context",
    "Cut",
    "DeadLetter",
    "DeadLetterAccount",
    "Deadline",
    "Defer",
    "Delete",
    "Delivery",
    "Disposition",
    "DriftState",
    "EventAccount",
    "Fence",
    "FieldChange",
    "Handler",
    "Happening",
    "Hold",
    "LeaseLost",
    "Lock",
    "LockMode",
    "NameAccount",
    "NoAudit",
    "NotReady",
    "NoticeAccount",
    "Operations",
    "OriginAccount",
    "Outcome",
    "OutcomeKind",
    "PermanentError",
    "Permission",
    "Permit",
    "Permits",
    "Phase",
    "Picture",
    "Plan",
    "PlanFence",
    "PlannedChange",
    "PolicyRefused",
    "Preempted",
    "Presence",
    "Reason",
    "RedriveAccount",
    "Retry",
    "RetryPolicy",
    "Runtime",
    "SecretStore",
    "Subject",
    "SubjectAccount",
    "TransientError",
    "change_json",
    "differences",
    "handler",
    "lean",
    "side_by_side",
    "spare_the_collector",
    "system_runtime",
    "unusable_connection_string",
]

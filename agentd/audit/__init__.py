"""The customer's own record of what the agent did: an append-only log, chained by hashes, that is verified offline."""

from agentd.audit.config import AuditConfig
from agentd.audit.entries import Head, LogKind
from agentd.audit.log import FileAuditLog
from agentd.audit.opening import OpenAudit, open_audit
from agentd.audit.signing import Signer

__all__ = ["AuditConfig", "FileAuditLog", "Head", "LogKind", "OpenAudit", "Signer", "open_audit"]

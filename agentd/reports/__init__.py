"""The outbox: outcome reports, progress, heartbeat."""

from agentd.reports.config import ReportsConfig
from agentd.reports.outbound import Message, Outbound
from agentd.reports.render import Identity
from agentd.reports.reports import Reports

__all__ = ["Identity", "Message", "Outbound", "Reports", "ReportsConfig"]

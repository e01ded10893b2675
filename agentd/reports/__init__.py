"""The outbox: outcome reports, progress, heartbeat."""

from agentd.reports.config import ReportsConfig
from agentd.reports.outbound import Message, Outbound
from agentd.reports.render import Identity
from agentd.reports.reports import Reports
from agentd.reports.states import States, Told

__all__ = ["Identity", "Message", "Outbound", "Reports", "ReportsConfig", "States", "Told"]

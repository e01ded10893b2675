"""What the customer allows: which events are let in and when, how much may be destroyed, and a brake."""

from agentd.dispatch.policy.approvals import Approval, approval_of, approve, forget_expired
from agentd.dispatch.policy.budget import Budget, BudgetState, Spend, spend_freely
from agentd.dispatch.policy.config import BudgetConfig, PolicyConfig
from agentd.dispatch.policy.decisions import Allow, Decision, Facts, Refuse, Wait, decide
from agentd.dispatch.policy.file import read_policy
from agentd.dispatch.policy.gate import Gate, Judge, let_in
from agentd.dispatch.policy.intake import Pause
from agentd.dispatch.policy.rules import Policy, Request, Rule

__all__ = [
    "Allow",
    "Approval",
    "Budget",
    "BudgetConfig",
    "BudgetState",
    "Decision",
    "Facts",
    "Gate",
    "Judge",
    "Pause",
    "Policy",
    "PolicyConfig",
    "Refuse",
    "Request",
    "Rule",
    "Spend",
    "Wait",
    "approval_of",
    "approve",
    "decide",
    "forget_expired",
    "let_in",
    "read_policy",
    "spend_freely",
]

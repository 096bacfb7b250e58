"""The planner: a language model that makes a graph of a request, and edits it while it runs."""

from .agent import ConstellationAgent, EditHost, Past, Plan
from .budget import Budget, Spent
from .capabilities import Baseline, Capabilities, violations
from .errors import BudgetUsedUp, NothingAnswered, PlanFailed, PlannerError, PlannerMisconfigured
from .remarks import Remark
from .settings import EditPolicy, Limits
from .surroundings import DeviceFacts, Surroundings, ToolFacts
from .thinking import Thinking

__all__ = [
    "Baseline",
    "Budget",
    "BudgetUsedUp",
    "Capabilities",
    "ConstellationAgent",
    "DeviceFacts",
    "EditHost",
    "EditPolicy",
    "Limits",
    "NothingAnswered",
    "Past",
    "Plan",
    "PlanFailed",
    "PlannerError",
    "PlannerMisconfigured",
    "Remark",
    "Spent",
    "Surroundings",
    "Thinking",
    "ToolFacts",
    "violations",
]

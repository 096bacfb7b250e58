"""For tests of what talks to language models: a model that follows a script, and a real server that does.

`constellation.testing.models.conformance` holds what every client of models has to do.
"""

from .answers import Answer, Called, Fault, Gate, Hangup, Raw, Reply, Rule, SeenRequest, Used
from .scripted import ScriptedModel, Step
from .server import ModelServer

__all__ = [
    "Answer",
    "Called",
    "Fault",
    "Gate",
    "Hangup",
    "ModelServer",
    "Raw",
    "Reply",
    "Rule",
    "ScriptedModel",
    "SeenRequest",
    "Step",
    "Used",
]

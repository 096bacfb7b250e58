"""`constellation version`."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version as version_of

from ..console.output import write_text
from ..graph.order import COMPILED
from .options import AsJson

DISTRIBUTION = "constellation-agents"


def version(as_json: AsJson = False) -> None:
    """Say which version this is, and whether its compiled part is there."""
    known = {
        "version": version_of(DISTRIBUTION),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "compiled": COMPILED,
    }
    if as_json:
        write_text(json.dumps(known))
    else:
        build = "compiled" if COMPILED else "pure Python"
        write_text(f"constellation {known['version']} ({build}, Python {known['python']}, {known['platform']})")

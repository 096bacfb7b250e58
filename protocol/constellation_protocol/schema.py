"""The published JSON Schema of AIP's text frames, made from the models, for devices in other languages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .codec import WIRE_FRAME
from .messages import PROTOCOL_VERSION

SCHEMA_FILE = Path(__file__).with_name("schema") / f"aip-{PROTOCOL_VERSION}.json"
"""The published schema of this version, kept equal to what `message_schema` makes."""


def message_schema() -> dict[str, Any]:
    """Make the JSON Schema (2020-12) of a text frame; each message is a definition in it."""
    schema = WIRE_FRAME.json_schema(mode="validation")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"AIP {PROTOCOL_VERSION} text frame",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def render() -> str:
    """Render the schema as the published file holds it."""
    return json.dumps(message_schema(), indent=2, sort_keys=True) + "\n"

"""Google's Gemini, with arguments in the older field `parameters`: a subset of OpenAPI 3.0's schemas.

There are no references, so that what refers to itself, and maps with open keys, are sent as JSON text.
"""

from __future__ import annotations

from .gemini import NAME, Gemini
from .rules import ARRAY_BOUNDS, STRING_BOUNDS, STRUCTURE, Rules


class GeminiOpenAPI(Gemini):
    """Function declarations with OpenAPI schemas."""

    name = "gemini-openapi"
    rules = Rules(
        keywords=STRUCTURE
        | ARRAY_BOUNDS
        | STRING_BOUNDS
        | frozenset({"nullable", "default", "format", "pattern", "minimum", "maximum"}),
        tool_name=NAME,
        formats=frozenset({"float", "double", "int32", "int64", "enum", "date-time"}),
        enum_types=frozenset({"string"}),
        typed=True,
        type_lists=False,
        null_type=False,
        recursion=False,
        json_text=True,
        properties_needed=True,
    )
    field = "parameters"

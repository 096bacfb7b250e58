"""Tools that come with schemas instead of a signature: what another program offers, with the same checks before a call.

`DescribedTool` looks like every other tool. Its arguments are held against the JSON Schema that it came with, and its
function is given all of them as one mapping.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from .arguments import Arguments
from .artifact import Artifact
from .context import ToolContext
from .definition import Definition
from .effects import WORST, Effects
from .errors import InvalidArguments, InvalidOutput
from .results import Results
from .schema_checking import SchemaChecker
from .signature import EMPTY, ToolSignature
from .tool import Tool

DescribedCall = Callable[[dict[str, Any], ToolContext], Awaitable[Any]]
"""Does the work: takes the checked arguments and the call's surroundings, and returns JSON types."""

_CONTEXT = "context"


class DescribedTool(Tool[..., Any]):
    """A tool whose schemas were given, and not derived from the signature of a function."""

    def __init__(
        self,
        call: DescribedCall,
        *,
        name: str,
        description: str,
        input_schema: Mapping[str, Any],
        output_schema: Mapping[str, Any] | None = None,
        idempotent: bool = False,
        effects: Effects = WORST,
        timeout_s: float | None = None,
    ) -> None:
        """Describe a tool.

        Args:
            call: Does the work.
            name: What it is called by.
            description: What it does.
            input_schema: Its arguments as JSON Schema, with an object at the root.
            output_schema: Its result as JSON Schema, when that is known.
            idempotent: Whether doing it twice has the effect of doing it once.
            effects: What it does to the world.
            timeout_s: How long a call may take, in seconds.

        Raises:
            ToolDefinitionError: the name can't be a tool's, or the schema of the arguments is none.
        """
        self._described = _Description(name, input_schema, output_schema)
        super().__init__(call, name=name, description=description, idempotent=idempotent, timeout_s=timeout_s)
        self.effects = effects

    @property
    def reference(self) -> None:
        """None: what it stands for lives in this process, and no other can import it."""
        return None

    def _defined(self) -> Definition:
        return self._described


class _Description(Definition):
    """Stands where a definition is derived from a signature for other tools."""

    def __init__(self, name: str, input_schema: Mapping[str, Any], output_schema: Mapping[str, Any] | None) -> None:
        self.signature = ToolSignature((), (_CONTEXT,), EMPTY, unbound=False)
        self.arguments = _DescribedArguments(name, input_schema)
        self.streams = False
        self.direct = False
        self.results = _DescribedResults(output_schema)


class _DescribedArguments(Arguments):
    """Holds arguments against a schema, and passes them on as they are."""

    def __init__(self, tool: str, schema: Mapping[str, Any]) -> None:
        self.schema = {"properties": {}, **schema}
        self.keywords_only = False
        self._checker = SchemaChecker(tool, self.schema)

    def validate(
        self, tool: str, arguments: Mapping[str, Any], resolve: Callable[[Artifact], Path] | None = None
    ) -> dict[str, Any]:
        plain: dict[str, Any] = to_jsonable_python(dict(arguments))
        checked, problems = self._checker.check(plain)
        if problems:
            raise InvalidArguments(tool, problems)
        return checked

    def layout(self, converted: dict[str, Any], context: ToolContext | None) -> tuple[list[Any], dict[str, Any]]:
        return [converted, context], {}


class _DescribedResults(Results):
    """Results of which the schema is known, and which are JSON types already."""

    def __init__(self, schema: Mapping[str, Any] | None) -> None:
        self.schema = None if schema is None else dict(schema)
        self.plain = None

    def to_json(self, tool: str, value: Any) -> Any:
        try:
            return to_jsonable_python(value)
        except ValueError as error:
            raise InvalidOutput(tool, str(error)) from error

"""`@tool`: a typed function that can also be called with JSON arguments, by a model or from another machine."""

from __future__ import annotations

import contextlib
import copy
import functools
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar, Unpack, cast, overload

import anyio
from pydantic import ValidationError

from .artifact import Artifact
from .context import ToolContext
from .definition import Definition, checked_name, docstring_of, name_of
from .docstrings import parse_docstring
from .effects import Effects
from .errors import ToolDefinitionError, ToolTimeout, UnresolvedAnnotation
from .options import ToolOptions
from .retry import Retry
from .running import gathered, is_async, run, run_in_items
from .signature import enclosing_names

P = ParamSpec("P")
R = TypeVar("R")

FILE_MODULE_PREFIX = "constellation_tools_file_"
"""Modules of this prefix were loaded from a file that is not importable by name."""

_END: Any = object()


class Tool(Generic[P, R]):
    """A function with a name, a description and schemas; calling it calls the function.

    Attributes:
        name: What it is called by, `[A-Za-z0-9_-]{1,64}`.
        description: What it does: the docstring without what it says of parameters.
        is_async: Whether the function is a coroutine function.
        effects: What it does to the world, as its options say.

    The other attributes are the options of `ToolOptions`.
    """

    def __init__(self, function: Callable[P, R], **options: Unpack[ToolOptions]) -> None:
        """Describe a function; `tool` and `Tool.from_function` are the ways to get here.

        Raises:
            ToolDefinitionError: the function can't be described; the message names the parameter.
        """
        unknown = options.keys() - ToolOptions.__annotations__.keys()
        if unknown:
            raise TypeError(f"tools have no option {', '.join(sorted(unknown))}")
        name, description = options.get("name"), options.get("description")
        name = checked_name(name_of(function) if name is None else name)
        functools.update_wrapper(self, function)
        self.name: str = name
        self.description = parse_docstring(docstring_of(function)).description if description is None else description
        self.effects = Effects.of(name, options)
        self.idempotent: bool = options.get("idempotent", self.effects.read_only)
        self.timeout_s: float | None = options.get("timeout_s")
        self.blocking: bool = options.get("blocking", True)
        self.exclusive: bool = options.get("exclusive", False)
        self.max_concurrent: int | None = options.get("max_concurrent")
        self.background: bool = options.get("background", False)
        self.requires_approval: bool = options.get("requires_approval", False)
        self.retry: Retry | None = options.get("retry")
        self.max_output_bytes: int | None = options.get("max_output_bytes")
        self._refuse_limits()
        self.is_async = is_async(function)
        self._function: Callable[..., Any] = function
        self._definition: Definition | None = None
        self._is_bound = False
        self._names = enclosing_names(function)
        # A name that is not defined may be so further down in its module: using the tool tries again.
        with contextlib.suppress(UnresolvedAnnotation):
            self._defined()

    @classmethod
    def from_function(cls, function: Callable[P, R], **options: Unpack[ToolOptions]) -> Tool[P, R]:
        """Make a tool of any callable; the options are those of `tool`.

        Raises:
            ToolDefinitionError: the callable can't be described; the message names the parameter.
        """
        return cls(function, **options)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function as it is: no validation, no conversion, no time limit."""
        result: R = self._function(*args, **kwargs)
        return result

    def __get__(self, instance: object | None, owner: type | None = None) -> Tool[..., R]:
        """Bind a tool that is defined in a class to an instance, as functions do."""
        if instance is None or self._is_bound or not self._defined().signature.unbound:
            return self
        bound: Tool[..., R] = copy.copy(self)
        bound._function = functools.partial(self._function, instance)
        bound._is_bound = True
        bound.__wrapped__ = bound._function  # type: ignore[attr-defined]  # what inspect reads the signature of
        return bound

    def renamed(self, name: str, description: str | None = None) -> Tool[P, R]:
        """Return the same tool under another name, and with another description if one is given.

        Raises:
            ToolDefinitionError: the name can't be a tool's.
        """
        other = copy.copy(self)
        other.name = checked_name(name)
        if description is not None:
            other.description = description
        return other

    def __repr__(self) -> str:
        return f"<Tool {self.name}>"

    @property
    def input_schema(self) -> dict[str, Any]:
        """The arguments as JSON Schema (2020-12): a closed object.

        Raises:
            UnresolvedAnnotation: an annotation names something that is still not defined.
        """
        return self._defined().arguments.schema

    @property
    def output_schema(self) -> dict[str, Any] | None:
        """The result as JSON Schema (2020-12), or None when nothing is said of it that JSON Schema can express."""
        return self._defined().results.schema

    @property
    def reference(self) -> str | None:
        """How another process can import it, `module:qualname` or `/file.py:qualname`; None when it can't."""
        module_name = getattr(self, "__module__", None)
        qualname = getattr(self, "__qualname__", None)
        module = sys.modules.get(module_name or "")
        if module is None or module_name == "__main__" or not qualname or "<" in qualname:
            return None
        found: Any = module
        for part in qualname.split("."):
            found = getattr(found, part, None)
        # A tool under another name is found as the one that it was made of.
        function = found._function if isinstance(found, Tool) else found
        if function is not self._function or self._defined().signature.unbound:
            return None
        place = module.__file__ if module.__name__.startswith(FILE_MODULE_PREFIX) else module.__name__
        return f"{place}:{qualname}"

    @property
    def takes_context(self) -> bool:
        """Whether one of its parameters is a `ToolContext`."""
        definition = self._definition or self._defined()
        return bool(definition.signature.context_parameters)

    @property
    def streams(self) -> bool:
        """Whether the function is a generator, synchronous or not: `call` gathers its items, `stream` gives each."""
        return self._defined().streams

    def validate(
        self, arguments: Mapping[str, Any], *, resolve: Callable[[Artifact], Path] | None = None
    ) -> dict[str, Any]:
        """Return the arguments converted to what the function takes.

        Args:
            arguments: Values by parameter name, as JSON types or Python objects.
            resolve: Finds the local file of each artifact among them.

        Raises:
            InvalidArguments: they don't fit; nothing has been run.
        """
        return self._defined().arguments.validate(self.name, arguments, resolve)

    async def call(self, arguments: Mapping[str, Any], context: ToolContext | None = None) -> Any:
        """Validate, run and return the result as JSON types; a generator's result is a list of its items.

        A sync function runs in a worker thread that is left behind when the call is cancelled or times out; its
        context then says so. What the function raises passes through.

        Raises:
            InvalidArguments: the arguments don't fit; nothing has been run.
            ToolTimeout: the function did not finish within `timeout_s`.
            InvalidOutput: the result has no JSON form.
        """
        definition = self._definition or self._defined()
        results = definition.results
        on_loop = self.is_async or not self.blocking
        if on_loop and definition.direct and context is None and self.timeout_s is None:
            result = self._call_directly(definition, arguments)
            if self.is_async or hasattr(result, "__await__"):
                result = await result
            return result if type(result) is results.plain else results.to_json(self.name, result)
        own = _own_context(definition, context)
        args, kwargs = self._prepare(definition, arguments, context, own)
        if self.timeout_s is None:
            result = await run(self._function, args, kwargs, own, in_thread=not on_loop)
        else:
            with anyio.move_on_after(self.timeout_s) as scope:
                result = await run(self._function, args, kwargs, own, in_thread=not on_loop)
            if scope.cancelled_caught:
                raise ToolTimeout(self.name, self.timeout_s)
        return results.to_json(self.name, result)

    async def stream(self, arguments: Mapping[str, Any], context: ToolContext | None = None) -> AsyncIterator[Any]:
        """Validate and run, and give each item of a generator as JSON types when it comes; else the one result.

        `timeout_s` is for each item.

        Raises:
            InvalidArguments: the arguments don't fit; nothing has been run.
            ToolTimeout: an item took longer than `timeout_s`.
            InvalidOutput: an item has no JSON form.
        """
        definition = self._defined()
        if not definition.streams:
            yield await self.call(arguments, context)
            return
        own = _own_context(definition, context)
        args, kwargs = self._prepare(definition, arguments, context, own)
        in_thread = self.blocking and not self.is_async
        async with aclosing(run_in_items(self._function, args, kwargs, own, in_thread=in_thread)) as items:
            while True:
                with anyio.move_on_after(self.timeout_s) as scope:
                    item = await anext(items, _END)
                if scope.cancelled_caught:
                    raise ToolTimeout(self.name, cast("float", self.timeout_s))
                if item is _END:
                    return
                yield definition.results.to_json(self.name, [item])[0]

    def call_sync(self, arguments: Mapping[str, Any], context: ToolContext | None = None) -> Any:
        """Do as `call` does, in the calling thread and without a time limit.

        Raises:
            TypeError: the function is async.
            InvalidArguments: the arguments don't fit; nothing has been run.
            InvalidOutput: the result has no JSON form.
        """
        definition = self._definition or self._defined()
        results = definition.results
        own = context
        if definition.direct and context is None:
            result = self._call_directly(definition, arguments)
        else:
            own = context or ToolContext() if definition.signature.context_parameters else context
            args, kwargs = self._prepare(definition, arguments, context, own)
            result = self._function(*args, **kwargs)
        if type(result) is results.plain:
            return result
        if isinstance(result, Coroutine | AsyncGenerator):  # nothing of it has run yet
            if isinstance(result, Coroutine):
                result.close()
            raise TypeError(f"{self.name} is async: await its call() instead of call_sync()")
        return results.to_json(self.name, gathered(result, own))

    def _call_directly(self, definition: Definition, arguments: Mapping[str, Any]) -> Any:
        """Call the function of a `direct` definition: this way costs least, and does the same as the other."""
        try:
            converted = definition.arguments.check(arguments)
        except ValidationError as error:
            converted = definition.arguments.repaired(self.name, arguments, error)
        return self._function(**converted)

    def _prepare(
        self,
        definition: Definition,
        arguments: Mapping[str, Any],
        context: ToolContext | None,
        own: ToolContext | None,
    ) -> tuple[list[Any], dict[str, Any]]:
        if definition.signature.unbound and not self._is_bound:
            raise TypeError(f"{self.name} is a method: take the tool from an instance, not from the class")
        converted = definition.arguments.validate(self.name, arguments, None if context is None else context.path)
        return definition.arguments.layout(converted, own)

    def _refuse_limits(self) -> None:
        limits = {
            "timeout_s": self.timeout_s,
            "max_concurrent": self.max_concurrent,
            "max_output_bytes": self.max_output_bytes,
        }
        for option, limit in limits.items():
            if limit is not None and not limit > 0:
                raise ToolDefinitionError(f"{option} of tool {self.name!r} must be more than 0, not {limit}")

    def _defined(self) -> Definition:
        if self._definition is None:
            names = {**self._names, **enclosing_names(self._function)}
            self._definition = Definition(self.name, self._function, names)
            self._names = {}  # they are other functions' variables, which must not live on because of a tool
        return self._definition


@overload
def tool(function: Callable[P, R], /) -> Tool[P, R]: ...
@overload
def tool(**options: Unpack[ToolOptions]) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(
    function: Callable[..., Any] | None = None, /, **options: Unpack[ToolOptions]
) -> Tool[..., Any] | Callable[[Callable[..., Any]], Tool[..., Any]]:
    """Make a tool of a function; a decorator with or without options.

    Args:
        function: The function; its type hints become the schema, its docstring the descriptions.
        options: What `ToolOptions` lists.

    Raises:
        ToolDefinitionError: the function can't be described; the message names the parameter.
    """

    def make(function: Callable[..., Any]) -> Tool[..., Any]:
        return Tool(function, **options)

    return make if function is None else make(function)


def _own_context(definition: Definition, context: ToolContext | None) -> ToolContext | None:
    """A context for one call alone, where the function takes one or its items are to be told."""
    if definition.signature.context_parameters or (definition.streams and context is not None):
        return (context or ToolContext()).for_call()
    return None

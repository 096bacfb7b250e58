"""`@tool`: a typed function that can also be called with JSON arguments, by a model or from another machine."""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

import anyio
import anyio.to_thread

from .arguments import Arguments
from .artifact import Artifact
from .context import ToolContext
from .docstrings import parse_docstring
from .errors import ToolDefinitionError, ToolTimeout, UnresolvedAnnotation
from .results import Results
from .signature import enclosing_names, read_signature, underlying_function

P = ParamSpec("P")
R = TypeVar("R")

FILE_MODULE_PREFIX = "constellation_tools_file_"
"""Modules of this prefix were loaded from a file that is not importable by name."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class _Definition:
    """What is derived from a function's signature, all at once or not at all."""

    def __init__(self, name: str, function: Callable[..., Any], names: Mapping[str, Any]) -> None:
        self.signature = read_signature(function, names=names)
        docstring = parse_docstring(_docstring_of(function))
        self.arguments = Arguments(name, self.signature, docstring.parameters, names)
        self.results = Results(name, self.signature.returns, names)


class Tool(Generic[P, R]):
    """A function with a name, a description and schemas; calling it calls the function.

    Attributes:
        name: What it is called by, `[A-Za-z0-9_-]{1,64}`.
        description: What it does: the docstring without what it says of parameters.
        idempotent: Whether doing it twice has the effect of doing it once, so that a lost call may be repeated.
        timeout_s: How long `call` waits for it, in seconds; None for no limit.
        blocking: Whether a sync function may take long, so that `call` runs it in a worker thread.
        is_async: Whether the function is a coroutine function.
    """

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        description: str | None = None,
        idempotent: bool = False,
        timeout_s: float | None = None,
        blocking: bool = True,
    ) -> None:
        """Describe a function; `tool` and `Tool.from_function` are the ways to get here.

        Raises:
            ToolDefinitionError: the function can't be described; the message names the parameter.
        """
        name = _default_name(function) if name is None else name
        if not _NAME.fullmatch(name):
            raise ToolDefinitionError(
                f"{name!r} can't be a tool's name: give 1 to 64 letters, digits, '_' or '-' with name=..."
            )
        if timeout_s is not None and not timeout_s > 0:
            raise ToolDefinitionError(f"the timeout of tool {name!r} must be more than 0 s, not {timeout_s}")
        underlying = underlying_function(function)
        if inspect.isgeneratorfunction(underlying) or inspect.isasyncgenfunction(underlying):
            raise ToolDefinitionError(
                f"{name} can't be a tool: it is a generator; return a list, and report on the way with "
                "ToolContext.progress"
            )
        functools.update_wrapper(self, function)
        self.name: str = name
        self.description = parse_docstring(_docstring_of(function)).description if description is None else description
        self.idempotent = idempotent
        self.timeout_s = timeout_s
        self.blocking = blocking
        self.is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
        self._function = function
        self._definition: _Definition | None = None
        self._names = enclosing_names(function)
        # A name that is not defined may be so further down in its module: using the tool tries again.
        with contextlib.suppress(UnresolvedAnnotation):
            self._defined()

    @classmethod
    def from_function(
        cls,
        function: Callable[P, R],
        *,
        name: str | None = None,
        description: str | None = None,
        idempotent: bool = False,
        timeout_s: float | None = None,
        blocking: bool = True,
    ) -> Tool[P, R]:
        """Make a tool of any callable; the options are those of `tool`.

        Raises:
            ToolDefinitionError: the callable can't be described; the message names the parameter.
        """
        return cls(
            function,
            name=name,
            description=description,
            idempotent=idempotent,
            timeout_s=timeout_s,
            blocking=blocking,
        )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function as it is: no validation, no conversion, no time limit."""
        return self._function(*args, **kwargs)

    def __get__(self, instance: object | None, owner: type | None = None) -> Tool[..., R]:
        """Bind a tool that is defined in a class to an instance, as functions do."""
        if instance is None or not self._defined().signature.unbound:
            return self
        return Tool(
            functools.partial(self._function, instance),  # type: ignore[arg-type]  # the instance is `self`
            name=self.name,
            description=self.description,
            idempotent=self.idempotent,
            timeout_s=self.timeout_s,
            blocking=self.blocking,
        )

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
        if (found is not self and found is not self._function) or self._defined().signature.unbound:
            return None
        place = module.__file__ if module.__name__.startswith(FILE_MODULE_PREFIX) else module.__name__
        return f"{place}:{qualname}"

    @property
    def takes_context(self) -> bool:
        """Whether one of its parameters is a `ToolContext`."""
        return bool(self._defined().signature.context_parameters)

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
        return self._defined().arguments.validate(arguments, resolve)

    async def call(self, arguments: Mapping[str, Any], context: ToolContext | None = None) -> Any:
        """Validate, run and return the result as JSON types.

        A sync function runs in a worker thread that is left behind when the call is cancelled or times out; its
        context then says so. What the function raises passes through.

        Raises:
            InvalidArguments: the arguments don't fit; nothing has been run.
            ToolTimeout: the function did not finish within `timeout_s`.
            InvalidOutput: the result has no JSON form.
        """
        definition = self._defined()
        in_thread = self.blocking and not self.is_async
        own = (context or ToolContext()).for_call() if definition.signature.context_parameters else None
        args, kwargs = self._prepare(definition, arguments, context, own)
        if self.timeout_s is None:
            result = await self._run(in_thread, args, kwargs, own)
        else:
            with anyio.move_on_after(self.timeout_s) as scope:
                result = await self._run(in_thread, args, kwargs, own)
            if scope.cancelled_caught:
                raise ToolTimeout(self.name, self.timeout_s)
        return definition.results.to_json(result)

    def call_sync(self, arguments: Mapping[str, Any], context: ToolContext | None = None) -> Any:
        """Do as `call` does, in the calling thread and without a time limit.

        Raises:
            TypeError: the function is async.
            InvalidArguments: the arguments don't fit; nothing has been run.
            InvalidOutput: the result has no JSON form.
        """
        definition = self._defined()
        own = context or ToolContext() if definition.signature.context_parameters else None
        args, kwargs = self._prepare(definition, arguments, context, own)
        result: Any = self._function(*args, **kwargs)
        if result is not None and isinstance(result, Coroutine):  # nothing of it has run yet
            result.close()
            raise TypeError(f"{self.name} is async: await its call() instead of call_sync()")
        return definition.results.to_json(result)

    def _prepare(
        self,
        definition: _Definition,
        arguments: Mapping[str, Any],
        context: ToolContext | None,
        own: ToolContext | None,
    ) -> tuple[list[Any], dict[str, Any]]:
        if definition.signature.unbound:
            raise TypeError(f"{self.name} is a method: take the tool from an instance, not from the class")
        converted = definition.arguments.validate(arguments, None if context is None else context.path)
        return definition.arguments.layout(converted, own)

    async def _run(self, in_thread: bool, args: list[Any], kwargs: dict[str, Any], own: ToolContext | None) -> Any:
        function = cast("Callable[..., Any]", self._function)
        if not in_thread:
            result = function(*args, **kwargs)
        else:

            def run() -> tuple[Any]:  # in a tuple, because no coroutine may come out of a trio thread as it is
                return (function(*args, **kwargs),)

            try:
                (result,) = await anyio.to_thread.run_sync(run, abandon_on_cancel=True)
            except anyio.get_cancelled_exc_class():
                if own is not None:
                    own.cancel()
                raise
        # A plain function may still hand out an awaitable, such as a wrapper around a coroutine function.
        return await result if isinstance(result, Awaitable) else result

    def _defined(self) -> _Definition:
        if self._definition is None:
            names = {**self._names, **enclosing_names(self._function)}
            self._definition = _Definition(self.name, self._function, names)
            self._names.clear()  # they are other functions' variables, which must not live on because of a tool
        return self._definition


@overload
def tool(function: Callable[P, R], /) -> Tool[P, R]: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    idempotent: bool = False,
    timeout_s: float | None = None,
    blocking: bool = True,
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    idempotent: bool = False,
    timeout_s: float | None = None,
    blocking: bool = True,
) -> Tool[..., Any] | Callable[[Callable[..., Any]], Tool[..., Any]]:
    """Make a tool of a function; a decorator with or without options.

    Args:
        function: The function; its type hints become the schema, its docstring the descriptions.
        name: What the tool is called by; the function's name by default.
        description: What it does; taken from the docstring by default.
        idempotent: Whether doing it twice has the effect of doing it once.
        timeout_s: How long a call may take, in seconds.
        blocking: False for a quick sync function, which then runs on the event loop.

    Raises:
        ToolDefinitionError: the function can't be described; the message names the parameter.
    """

    def make(function: Callable[..., Any]) -> Tool[..., Any]:
        return Tool(
            function,
            name=name,
            description=description,
            idempotent=idempotent,
            timeout_s=timeout_s,
            blocking=blocking,
        )

    return make if function is None else make(function)


def _default_name(function: Callable[..., Any]) -> str:
    if isinstance(function, functools.partial):
        return _default_name(function.func)
    return str(getattr(function, "__name__", type(function).__name__))


def _docstring_of(function: Callable[..., Any]) -> str | None:
    """Return the docstring, but not that of a callable object's class or of `partial` itself."""
    if isinstance(function, functools.partial):
        return _docstring_of(function.func)
    if inspect.isroutine(function) or hasattr(function, "__wrapped__"):
        return inspect.getdoc(function)
    return inspect.getdoc(type(function).__call__) or inspect.getdoc(function)

"""Expressions over a star's output, in CEL (Common Expression Language, https://cel.dev).

CEL terminates, has no side effects and reaches nothing but the variables it is given, so an expression from a file
or a model is safe to evaluate, as long as it does not take too long (`condition_cost.py`). The library is loaded with
the first expression.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from .condition_cost import MAX_STEPS, cost_of, most_items
from .errors import ConditionError

MAX_LENGTH = 4_000
"""How many characters an expression may have."""

_FAULT = re.compile(r"<input>:(\d+):(\d+): (?:Syntax error: )?(.*)")


def _where(message: str) -> str:
    """The first fault that the library tells of, in one line."""
    fault = _FAULT.search(message)
    if fault is None:
        return f": {message.splitlines()[0]}"
    return f" (line {fault[1]}, character {fault[2]}): {fault[3]}"


@lru_cache(maxsize=1024)
def compile_condition(expression: str) -> Any:
    """Parse an expression.

    Raises:
        ConditionError: it does not parse, and the message shows where; it names a variable that is not there; or it
            would take too long whatever the output is.
    """
    import cel

    if len(expression) > MAX_LENGTH:
        raise ConditionError(f"the condition {expression[:40]!r}… is over {MAX_LENGTH:,} characters long")
    try:
        program = cel.compile(expression)
    except ValueError as error:
        raise ConditionError(f"the condition {expression!r} does not parse{_where(str(error))}") from error
    for name in program.variables():
        if name != "output" and not _is_bound(name, expression) and not _is_constant(name):
            raise ConditionError(f"the condition {expression!r} names {name!r}, but all there is to name is 'output'")
    if cost_of(expression).steps(1) > MAX_STEPS:
        raise ConditionError(
            f"the condition {expression!r} has loops within loops that would take too long; take some out"
        )
    return program


def _is_bound(name: str, expression: str) -> bool:
    """Whether a macro such as `all(name, ...)` may have brought a variable; the library does not tell it apart."""
    return re.search(rf"\(\s*{re.escape(name)}\s*,", expression) is not None


def _is_constant(name: str) -> bool:
    """Whether a name means something by itself, as those of types do."""
    import cel

    try:
        cel.compile(name).execute({})
    except (RuntimeError, ValueError):
        return False
    return True


def evaluate_condition(expression: str, output: Any) -> bool:
    """The truth of an expression over `output`.

    Raises:
        ConditionError: it fails on this output (a missing field, a type that does not fit), gives no truth value, or
            would take too long.
    """
    program = compile_condition(expression)
    cost = cost_of(expression)
    if cost.power > 1 and cost.steps(items := most_items(output)) > MAX_STEPS:
        raise ConditionError(
            f"the condition {expression!r} would take too long on an output with {items:,} items in one place: up to "
            f"their number to the power of {cost.power} steps; let a star do this, and give the result as its output"
        )
    try:
        value = program.execute({"output": output})
    except (ArithmeticError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise ConditionError(f"the condition {expression!r} fails on the output: {error}") from error
    if not isinstance(value, bool):
        raise ConditionError(f"the condition {expression!r} gives {type(value).__name__}, not true or false")
    return value

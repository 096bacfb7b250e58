"""How a library does with the cases: whether its schemas are exact, and its calls all right."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator

from .case import RECEIVED, Arguments, Case, Spec, same
from .library import Library


@dataclass(frozen=True, slots=True)
class Score:
    """What a library made of one case.

    Attributes:
        group: The case's group.
        name: The case.
        schema_exact: Whether the schema accepts, rejects and says what it has to.
        all_right: Whether besides all calls came, or did not come, to the function as they have to.
        wrong: What was wrong first; empty when nothing was.
    """

    group: str
    name: str
    schema_exact: bool
    all_right: bool
    wrong: str


async def scored(library: Library, case: Case) -> Score:
    """Try a case with a library."""
    RECEIVED.clear()
    spec: Spec | None = None
    try:
        spec = case.make(library)
        if spec.function is None:
            return Score(case.group, case.name, False, False, "there is no way to write it")
        made = library.make(spec.function) if spec.made is None else spec.made
        schema = library.schema(made)
    except Exception as error:  # libraries refuse functions with whatever they like
        wanted = spec is not None and spec.refused is not None
        named = wanted and spec is not None and re.search(rf"\b{spec.refused}\b", str(error)) is not None
        return Score(case.group, case.name, wanted, named, "" if named else f"refused: {_short(error)}")
    if spec.refused is not None:
        return Score(
            case.group, case.name, False, False, f"took the parameter {spec.refused!r} that can't be described"
        )
    of_schema = list(_schema_faults(schema, library.description(made), spec))
    of_calls = [fault async for fault in _call_faults(library, made, spec)]
    faults = [*of_schema, *of_calls]
    return Score(case.group, case.name, not of_schema, not faults, faults[0] if faults else "")


def _schema_faults(schema: Mapping[str, Any], description: str, spec: Spec) -> Iterator[str]:
    validator = Draft202012Validator(schema)
    properties = set(schema.get("properties", {}))
    extra = properties - spec.properties - set(inspect.signature(spec.function).parameters if spec.function else ())
    if missing := spec.properties - properties:
        yield f"the schema lacks {', '.join(sorted(missing))}"
    if extra:
        yield f"the schema has {', '.join(sorted(extra))} too much"
    yield from (f"the schema rejects {given}" for given, _ in spec.good if not validator.is_valid(dict(given)))
    yield from (f"the schema accepts {given}" for given in spec.bad if validator.is_valid(dict(given)))
    for name, facts in spec.says.items():
        if not _states(schema.get("properties", {}).get(name, {}), facts, schema):
            yield f"the schema does not say {facts} of {name}"
    if spec.description not in description:
        yield f"the description is {description!r}"


def _states(schema: Any, facts: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    """Whether a schema says something, itself, by reference, or in one of its alternatives."""
    if not isinstance(schema, Mapping):
        return False
    whole = dict(schema)
    while isinstance(reference := whole.pop("$ref", None), str):
        target: Any = root
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
        whole = {**target, **whole}
    if all(_agrees(whole.get(keyword), fact, root) for keyword, fact in facts.items()):
        return True
    return any(
        _states({**branch, **_beside(whole)}, facts, root) for k in ("anyOf", "allOf") for branch in whole.get(k, ())
    )


def _beside(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {keyword: schema[keyword] for keyword in ("description", "default") if keyword in schema}


def _agrees(said: Any, fact: Any, root: Mapping[str, Any]) -> bool:
    if isinstance(fact, Mapping) and isinstance(said, Mapping):
        return all(_states(said.get(name, {}), below, root) for name, below in fact.items())
    if isinstance(said, str) and isinstance(fact, str):
        return said.split() == fact.split()  # whether lines of a docstring are joined is a matter of taste
    return bool(said == fact)


async def _call_faults(library: Library, made: Any, spec: Spec) -> AsyncIterator[str]:
    for given, wanted in [*spec.good, *spec.lenient]:
        received, error = await _received(library, made, given)
        if len(received) != 1:
            yield f"{given} did not reach the function: {_short(error)}"
        elif not same(received[0], wanted):
            yield f"{given} reached the function as {received[0]!r}"
    for given in [*spec.bad, *spec.unsaid]:
        received, _ = await _received(library, made, given)
        if received:
            yield f"{given} reached the function as {received[0]!r}"


async def _received(
    library: Library, made: Any, given: Arguments
) -> tuple[Sequence[tuple[Any, ...]], Exception | None]:
    """What reached the function, and what was raised; values are left as the function got them."""
    RECEIVED.clear()
    error: Exception | None = None
    try:
        await library.call(made, dict(given))
    except Exception as raised:  # libraries refuse calls with whatever they like
        error = raised
    return list(RECEIVED), error


def _short(error: Exception | None) -> str:
    return (
        "nothing was raised" if error is None else f"{type(error).__name__}: {str(error).partition(chr(10))[0][:120]}"
    )

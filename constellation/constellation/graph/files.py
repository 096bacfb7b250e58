"""Constellations as files of YAML 1.2 or JSON: the same document either way.

When the document that a text makes is refused, the path in the error leads back to line and column. JSON is read by
`json`, which is far faster, and composed (JSON is YAML too) only to find the place of an error; so write very large
graphs as JSON.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, NoReturn

from . import yaml_nodes
from .constellation import TaskConstellation
from .documents import dump, load
from .errors import InvalidDocument

MAX_BYTES = 16 * 1024 * 1024
"""The largest file that is read."""

_EMPTY = "there is nothing in this file; a constellation needs at least 'name' and 'stars'"


def read_file(path: str | os.PathLike[str]) -> TaskConstellation:
    """Read a constellation from a file: JSON when its name ends in `.json`, else YAML.

    Tools that the file names by a relative path of a Python file are looked for beside it.

    Raises:
        InvalidDocument: the file can't be read or is no constellation; the error names file, line and column.
    """
    file = Path(path)
    graph = parse_text(_read(file), name_hint=str(path), yaml=file.suffix.lower() != ".json")
    graph.tools = tuple(_beside(file, tool) for tool in graph.tools)
    return graph


def place_in_file(path: str | os.PathLike[str], error: InvalidDocument) -> None:
    """Fill in file, line and column of an error that was found in the graph of a file, from the error's path.

    Raises:
        InvalidDocument: the file can't be read any more.
    """
    file = Path(path)
    text = _read(file)
    root = _compose_json(text) if file.suffix.lower() == ".json" else yaml_nodes.compose(text)
    error.file = str(path)
    if root is not None:
        yaml_nodes.locate(error, root)


def parse_text(text: str, *, name_hint: str = "", yaml: bool = True) -> TaskConstellation:
    """A constellation from text.

    Args:
        text: The document.
        name_hint: What errors call the text: the name of its file.
        yaml: Whether it is YAML; else JSON.

    Raises:
        InvalidDocument: it is no constellation; the error names line and column.
    """
    try:
        if not text.strip():
            raise InvalidDocument(_EMPTY)
        return _parse_yaml(text) if yaml else _parse_json(text)
    except InvalidDocument as error:
        error.file = name_hint
        raise


def write_text(graph: TaskConstellation, *, yaml: bool = True) -> str:
    """A constellation as the text of a YAML file, or of a JSON file; both are read back to the same graph."""
    data = dump(graph)
    if not yaml:
        return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return yaml_nodes.write(data)


# --- bytes -----------------------------------------------------------------------------------------------------------


def _read(file: Path) -> str:
    problem = ""
    data = b""
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        problem = "there is no such file"
    except IsADirectoryError:
        problem = "this is a directory; name a YAML or JSON file in it"
    except (OSError, ValueError) as error:
        problem = f"the file can't be read: {getattr(error, 'strerror', None) or error}"
    if len(data) > MAX_BYTES:
        problem = f"the file is over {MAX_BYTES // 1024 // 1024} MiB; split the constellation into nested ones"
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = problem or f"this is no text in UTF-8 (byte {error.start + 1} is not); save it as UTF-8"
    if problem:
        failure = InvalidDocument(problem)
        failure.file = str(file)
        raise failure
    return text


def _beside(file: Path, tool: str) -> str:
    """A tool reference with a relative path of a Python file made absolute, from the folder of `file`."""
    path, colon, attribute = tool.partition(".py:")
    if colon:
        path += ".py"
    elif not path.endswith(".py"):
        return tool
    return os.path.abspath(file.parent / path) + (f":{attribute}" if colon else "")


# --- text ------------------------------------------------------------------------------------------------------------


def _parse_yaml(text: str) -> TaskConstellation:
    root = yaml_nodes.compose(text)
    if root is None:
        raise InvalidDocument(_EMPTY)
    data = yaml_nodes.values_of(root)
    try:
        return load(data)
    except InvalidDocument as error:
        yaml_nodes.locate(error, root)
        raise


def _parse_json(text: str) -> TaskConstellation:
    try:
        data = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
        if "\\u" in text:
            json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidDocument(yaml_nodes.HALF_A_CHARACTER) from None
    except json.JSONDecodeError as error:
        problem = f"malformed JSON: {error.msg[:1].lower()}{error.msg[1:]}"
        raise InvalidDocument(problem, line=error.lineno, column=error.colno) from None
    except RecursionError:
        raise InvalidDocument(f"nested over {yaml_nodes.MAX_LEVELS} deep") from None
    except _Unplaced as error:
        root = _compose_json(text)
        if root is not None:
            yaml_nodes.values_of(root)  # comes upon the same problem, and knows its place
        raise InvalidDocument(str(error)) from None
    try:
        return load(data)
    except InvalidDocument as error:
        root = _compose_json(text)
        if root is not None:
            yaml_nodes.locate(error, root)
        raise


def _compose_json(text: str) -> Any:
    """The nodes of JSON text, or None where YAML does not take it."""
    # A tab can't stand inside a JSON string, so each is space between tokens, where YAML is stricter about tabs. The
    # two halves that JSON writes for some characters are one escape in YAML, which is shorter: columns are kept.
    text = _SURROGATES.sub(lambda pair: f"\\U{_code_point(pair[0]):08X}  ", text.replace("\t", " "))
    try:
        return yaml_nodes.compose(text)
    except InvalidDocument:
        return None


def _code_point(escapes: str) -> int:
    return ord(json.loads(f'"{escapes}"'))


_SURROGATES = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")


class _Unplaced(Exception):
    """A problem in JSON text for which the parser tells no place."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise _Unplaced(f"the key {key!r} is there twice; remove one")
        made[key] = value
    return made


def _no_constant(name: str) -> NoReturn:
    raise _Unplaced(f"{name!r} is no number; put it in quotes if it is text")

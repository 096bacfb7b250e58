"""Tools by reference: `module`, `module:attr`, `path/to/file.py` or `path/to/file.py:attr`.

A file is imported once per process, under a name made from its path, and its directory is appended to `sys.path`,
so that what stands beside it can be imported too.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import ToolLoadError
from .tool import FILE_MODULE_PREFIX, Tool
from .toolset import Toolset


def load_tools(reference: str) -> Toolset:
    """Load the tools that a reference leads to.

    Args:
        reference: With an attribute: a Tool, a Toolset, a function, or an iterable of these. Without one: all
            Tools and Toolsets at the top level of the module.

    Raises:
        ToolLoadError: it can't be imported, or there is no tool.
        ToolDefinitionError: a function can't be described, or two tools share a name.
    """
    module, attribute = _import(reference)
    if attribute:
        found = list(_tools_of(_attribute(module, attribute, reference), reference))
    else:
        found = [
            tool
            for value in vars(module).values()
            if isinstance(value, Tool | Toolset)
            for tool in _tools_of(value, reference)
        ]
    unique = {id(tool): tool for tool in found}
    if not unique:
        raise ToolLoadError(f"{reference!r} holds no tools; mark functions with @tool, or name one as {reference}:name")
    return Toolset(unique.values(), name=reference)


def load_tool(reference: str) -> Tool[..., Any]:
    """Load the single tool that a reference with an attribute leads to.

    Raises:
        ToolLoadError: it can't be imported, or is not one tool.
        ToolDefinitionError: the function can't be described.
    """
    module, attribute = _import(reference)
    if not attribute:
        raise ToolLoadError(f"{reference!r} names no tool; write {reference}:name")
    tools = list(_tools_of(_attribute(module, attribute, reference), reference))
    if len(tools) != 1:
        raise ToolLoadError(f"{reference!r} holds {len(tools)} tools where one is wanted")
    return tools[0]


def _import(reference: str) -> tuple[ModuleType, str]:
    """Import the module part of a reference and return it with the attribute part."""
    if reference.endswith(".py"):
        return _import_file(Path(reference), reference), ""
    file, is_file, attribute = reference.rpartition(".py:")
    if is_file:
        return _import_file(Path(file + ".py"), reference), attribute
    module_name, _, attribute = reference.partition(":")
    try:
        return importlib.import_module(module_name), attribute
    except Exception as error:  # importing runs the module, which may raise anything
        raise ToolLoadError(f"can't import {module_name!r} of {reference!r}: {_described(error)}") from error


def _import_file(path: Path, reference: str) -> ModuleType:
    path = path.resolve()
    name = f"{FILE_MODULE_PREFIX}{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    if not path.is_file():
        raise ToolLoadError(f"can't load {reference!r}: there is no file {path}")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # a path that ends in .py always has a loader
    assert spec.loader is not None
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # importing runs the file, which may raise anything
        del sys.modules[name]
        raise ToolLoadError(f"can't import {path} of {reference!r}: {_described(error)}") from error
    return module


def _attribute(module: ModuleType, attribute: str, reference: str) -> Any:
    found: Any = module
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ToolLoadError(
                f"can't load {reference!r}: {module.__file__ or module.__name__} has no {attribute!r}"
            ) from None
    return found


def _tools_of(value: Any, reference: str) -> Iterable[Tool[..., Any]]:
    if isinstance(value, Tool):
        yield value
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes | dict):
        for item in value:
            yield from _tools_of(item, reference)
    elif callable(value) and not isinstance(value, type):
        yield Tool.from_function(value)
    else:
        raise ToolLoadError(
            f"{reference!r} leads to a {type(value).__name__}, which is not a tool, toolset or function"
        )


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"

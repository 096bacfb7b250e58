"""Tools by reference: a module, a file, a directory, an entry point, or an object in one of them.

    module                  all Tools, Toolsets and objects with tools at its top level
    module:attribute        a Tool, a Toolset, a function, an object with tools, or an iterable of these
    path/to/file.py         as a module; with :attribute, too
    path/to/directory       all of its Python files but those whose names begin with an underscore
    entry-point:name        what a package offers under that name in the group `constellation.tools`

A file is imported once per process, under a name made from its path, and its directory is appended to `sys.path`,
so that what stands beside it can be imported too.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from types import MethodType, ModuleType
from typing import Any

from .errors import ToolLoadError
from .tool import FILE_MODULE_PREFIX, Tool
from .toolset import Toolset

ENTRY_POINTS = "constellation.tools"
"""The group of entry points under which packages offer tools."""

_ENTRY_POINT = "entry-point:"


def load_tools(reference: str) -> Toolset:
    """Load the tools that a reference leads to; the head of this file lists its forms.

    Raises:
        ToolLoadError: it can't be imported, or there is no tool.
        ToolDefinitionError: a function can't be described, or two tools share a name.
    """
    return _set_of(_found(reference), reference)


def tools_of(thing: Any, *, name: str = "") -> Toolset:
    """Return the tools of a module, of an object whose methods are marked with `@tool`, or of an iterable of tools.

    Tools of an object are bound to it: they share its state.

    Args:
        thing: Also a Tool, a Toolset, or a function.
        name: What the set is called.

    Raises:
        ToolLoadError: there is no tool.
        ToolDefinitionError: a function can't be described, or two tools share a name.
    """
    name = name or getattr(thing, "__name__", type(thing).__name__)
    return _set_of(_of_module(thing) if isinstance(thing, ModuleType) else _tools_of(thing, name), name)


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


def _set_of(found: Iterable[Tool[..., Any]], origin: str) -> Toolset:
    unique = {id(tool): tool for tool in found}
    if not unique:
        raise ToolLoadError(f"{origin!r} holds no tools; mark functions with @tool, or name one as {origin}:name")
    return Toolset(unique.values(), name=origin)


def _found(reference: str) -> Iterator[Tool[..., Any]]:
    if reference.startswith(_ENTRY_POINT):
        yield from _of_entry_point(reference)
        return
    if not reference.endswith(".py") and Path(reference).is_dir() and ("/" in reference or reference == "."):
        for file in sorted(Path(reference).glob("[!_]*.py")):
            yield from _of_module(_import_file(file, reference))
        return
    module, attribute = _import(reference)
    if attribute:
        yield from _tools_of(_attribute(module, attribute, reference), reference)
    else:
        yield from _of_module(module)


def _of_module(module: ModuleType) -> Iterator[Tool[..., Any]]:
    """The Tools and Toolsets at the top level of a module, and the tools of objects that are there."""
    for value in {id(value): value for value in vars(module).values()}.values():  # one may have several names
        if isinstance(value, Tool | Toolset):
            yield from _tools_of(value, module.__name__)
        elif not isinstance(value, type | ModuleType):
            yield from _of_object(value)


def _of_entry_point(reference: str) -> Iterator[Tool[..., Any]]:
    name = reference.removeprefix(_ENTRY_POINT)
    offered = metadata.entry_points(group=ENTRY_POINTS)
    if name not in offered.names:
        there = ", ".join(sorted(offered.names)) or "none"
        raise ToolLoadError(f"no installed package offers tools as {name!r}; there are: {there}")
    try:
        thing = offered[name].load()
    except (Exception, SystemExit) as error:  # importing runs the module, which may raise anything
        raise ToolLoadError(f"can't load {reference!r}: {_described(error)}") from error
    yield from _of_module(thing) if isinstance(thing, ModuleType) else _tools_of(thing, reference)


def _of_object(value: Any) -> Iterator[Tool[..., Any]]:
    """The methods of an object that are marked as tools, in the order that they are written, bases first."""
    names = dict.fromkeys(name for base in reversed(type(value).__mro__) for name in vars(base))
    for name in names:
        marked = inspect.getattr_static(type(value), name)
        inner = marked.__func__ if isinstance(marked, classmethod | staticmethod) else marked
        if isinstance(inner, Tool):
            bound = getattr(value, name)
            # Since Python 3.13 a class method is bound by Python, which knows nothing of tools.
            yield inner.__get__(bound.__self__) if isinstance(bound, MethodType) else bound


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
    except (Exception, SystemExit) as error:  # importing runs the module, which may raise anything
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
    except (Exception, SystemExit) as error:  # importing runs the file, which may raise anything
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
    elif isinstance(value, type) and any(isinstance(member, Tool) for member in vars(value).values()):
        raise ToolLoadError(f"{reference!r} leads to the class {value.__name__}; give an object of it instead")
    elif (of_object := list(_of_object(value))) and not isinstance(value, type):
        yield from of_object
    elif callable(value) and not isinstance(value, type):
        yield Tool.from_function(value)
    else:
        raise ToolLoadError(
            f"{reference!r} leads to a {type(value).__name__}, which is not a tool, toolset or function"
        )


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"

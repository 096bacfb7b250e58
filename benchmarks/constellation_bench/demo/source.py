"""Measuring one module from its source: how long its functions are, what it imports, what is marked as unfinished."""

from __future__ import annotations

import ast
import hashlib
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from .findings import FunctionSize, FunctionText, ModuleFindings

LONG_LINES = 60
"""A function of more lines than this is too long."""
LONGEST_KEPT = 5
"""How many of a module's longest functions are kept."""
TEXT_LINES = 8
"""Functions of fewer lines than this are alike by chance rather than by copying."""
DIGEST_BYTES = 10

_MARK = re.compile(rb"\b(?:TODO|FIXME|XXX|HACK)\b")

Function = ast.FunctionDef | ast.AsyncFunctionDef


class NotParsable(Exception):
    """Raised when a source can't be parsed; says why."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement: `scope` is the qualified name of what it stands in, `called` whether that is in a function."""

    node: ast.stmt
    scope: str
    called: bool


def module_name(file: str) -> str:
    """The dotted name of the module in a file, given by its path below the library's directory."""
    parts = PurePosixPath(file).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def parse(source: bytes) -> ast.Module:
    """Parse a module.

    Raises:
        NotParsable: it is no Python source to this interpreter.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the compiler advises is not what is asked here
            return ast.parse(source)
    except SyntaxError as error:
        where = f"line {error.lineno}: " if error.lineno else ""
        raise NotParsable(f"{where}{error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise NotParsable(str(error) or type(error).__name__) from error


def measure(file: str, source: bytes) -> ModuleFindings:
    """Measure a module.

    Raises:
        NotParsable: it is no Python source to this interpreter.
    """
    module = module_name(file)
    package = module if PurePosixPath(file).name == "__init__.py" else module.rpartition(".")[0]
    raw_lines = source.splitlines()
    sizes: list[FunctionSize] = []
    texts: list[FunctionText] = []
    eager: dict[str, None] = {}
    lazy: dict[str, None] = {}
    for statement in statements(parse(source)):
        node = statement.node
        if isinstance(node, Function):
            size = FunctionSize(statement.scope + node.name, module, node.lineno, length(node))
            sizes.append(size)
            if size.lines >= TEXT_LINES and not statement.called:
                texts.append(FunctionText(_digest(raw_lines, size), size.name, size.line, size.lines))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            (lazy if statement.called else eager).update(dict.fromkeys(imported_names(node, package)))
    sizes.sort(key=lambda size: (-size.lines, size.line))
    return ModuleFindings(
        module=module,
        file=file,
        lines=len(raw_lines),
        functions=len(sizes),
        marks=sum(1 for line in raw_lines if _MARK.search(line)),
        strain=sum(size.lines for size in sizes if size.lines > LONG_LINES),
        longest=sizes[:LONGEST_KEPT],
        imports=list(eager),
        lazy_imports=[name for name in lazy if name not in eager],
        texts=texts,
    )


def statements(tree: ast.Module) -> Iterator[Statement]:
    """All statements of a module, those inside of others too; expressions are not looked into."""
    pending = [Statement(node, "", False) for node in reversed(tree.body)]
    while pending:
        statement = pending.pop()
        yield statement
        node, scope, called = statement.node, statement.scope, statement.called
        if isinstance(node, Function | ast.ClassDef):
            scope = f"{scope}{node.name}."
            called = called or isinstance(node, Function)
        pending.extend(Statement(inner, scope, called) for inner in reversed(inner_statements(node)))


def inner_statements(node: ast.stmt) -> list[ast.stmt]:
    """The statements right inside of a statement, in order."""
    inner: list[ast.stmt] = []
    for name in ("body", "handlers", "cases", "orelse", "finalbody"):
        for item in getattr(node, name, ()):
            inner.extend([item] if isinstance(item, ast.stmt) else item.body)
    return inner


def length(function: Function) -> int:
    """How many lines a function has, without its decorators."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def imported_names(node: ast.Import | ast.ImportFrom, package: str) -> list[str]:
    """The dotted names that a statement imports, those of `from` with the name that is taken from there."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        above = package.split(".") if package else []
        kept = above[: len(above) - (node.level - 1)]
        base = ".".join([*kept, *([base] if base else [])])
    return [base if alias.name == "*" else f"{base}.{alias.name}".strip(".") for alias in node.names]


def _digest(lines: Sequence[bytes], size: FunctionSize) -> str:
    text = b"\n".join(lines[size.line - 1 : size.line - 1 + size.lines]).decode("latin-1")
    return hashlib.blake2b(textwrap.dedent(text).encode(), digest_size=DIGEST_BYTES).hexdigest()

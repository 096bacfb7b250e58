"""A deeper look at a module: how branched, how nested and how entangled each of its functions is."""

from __future__ import annotations

import ast

from .findings import FunctionShape
from .source import Function, inner_statements, length, statements

_DECISIONS = (
    ast.If,
    ast.IfExp,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.match_case,
    ast.comprehension,
    ast.Assert,
)
_SEPARATE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def function_shapes(tree: ast.Module) -> list[FunctionShape]:
    """The shape of each function of a module, the most complex first; one inside of another counts by itself."""
    shapes = [
        _shape(statement.node, statement.scope)
        for statement in statements(tree)
        if isinstance(statement.node, Function)
    ]
    return sorted(shapes, key=lambda shape: (-shape.complexity, shape.line))


def _shape(function: Function, scope: str) -> FunctionShape:
    decisions = 0
    called: set[str] = set()
    pending: list[ast.AST] = list(function.body)
    while pending:
        node = pending.pop()
        if isinstance(node, _SEPARATE):
            continue
        if isinstance(node, _DECISIONS):
            decisions += 1
        elif isinstance(node, ast.BoolOp):
            decisions += len(node.values) - 1
        elif isinstance(node, ast.Call):
            called.add(_called_name(node.func))
        pending.extend(ast.iter_child_nodes(node))
    return FunctionShape(
        name=scope + function.name,
        line=function.lineno,
        lines=length(function),
        complexity=1 + decisions,
        nesting=_nesting(function),
        fan_out=len(called),
    )


def _called_name(node: ast.expr) -> str:
    """What is called, as dotted as it stands there; calls of anything but names are all one."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    parts.append(node.id if isinstance(node, ast.Name) else "…")
    return ".".join(reversed(parts))


def _nesting(function: Function) -> int:
    deepest = 0
    pending: list[tuple[ast.stmt, int]] = [(node, 0) for node in function.body]
    while pending:
        node, depth = pending.pop()
        if isinstance(node, _SEPARATE):
            continue
        deepest = max(deepest, depth)
        # `elif` is an `if` alone in the `else` of another: it reads as one level, and counts as one.
        chained = getattr(node, "orelse", []) if isinstance(node, ast.If) else []
        is_chain = len(chained) == 1 and isinstance(chained[0], ast.If)
        pending.extend(
            (inner, depth if is_chain and inner is chained[0] else depth + 1) for inner in inner_statements(node)
        )
    return deepest

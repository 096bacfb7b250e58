"""What the demo finds in sources: measures of modules, shapes of functions, and what holds between modules."""

from __future__ import annotations

import ast
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constellation_bench.demo.findings import FunctionShape, FunctionSize, ImportCycle, ModuleFindings
from constellation_bench.demo.relations import MEMBERS_KEPT, copy_summary, import_summary
from constellation_bench.demo.shapes import function_shapes
from constellation_bench.demo.source import NotParsable, imported_names, measure, module_name, parse


def measured(source: str, file: str = "pack/mod.py") -> ModuleFindings:
    return measure(file, textwrap.dedent(source).encode())


@pytest.mark.parametrize(
    ("file", "module"),
    [
        ("os.py", "os"),
        ("email/message.py", "email.message"),
        ("email/__init__.py", "email"),
        ("__init__.py", "__init__"),
    ],
)
def test_a_module_is_named_by_its_path(file: str, module: str) -> None:
    assert module_name(file) == module


def test_functions_are_found_wherever_statements_are() -> None:
    found = measured("""\
        def plain(): pass
        class A:
            async def method(self):
                def inner(): pass
        if x:
            def in_if(): pass
        else:
            def in_else(): pass
        try:
            pass
        except E:
            def in_handler(): pass
        finally:
            def in_finally(): pass
        match x:
            case 1:
                def in_case(): pass
    """)
    assert found.functions == 8
    assert {size.name for size in found.longest} <= {
        "plain",
        "A.method",
        "A.method.inner",
        "in_if",
        "in_else",
        "in_handler",
        "in_finally",
        "in_case",
    }
    assert found.longest[0] == FunctionSize("A.method", "pack.mod", 3, 2)


def test_only_functions_that_are_too_long_strain_a_module() -> None:
    body = "    pass\n" * 60
    assert measured(f"def long():\n{body}\ndef short():\n    pass\n").strain == 61
    assert measured("def fits():\n" + "    pass\n" * 59).strain == 0


def test_marks_are_counted_by_line_and_as_whole_words() -> None:
    assert measured("# TODO FIXME\nx = 1  # XXX\nmethodology = 'TODOS'\nHACK = 1\n").marks == 3


def test_imports_of_functions_are_told_apart_from_those_of_the_module() -> None:
    found = measured("""\
        import a, b.c
        from d import e
        def later():
            import f, a
    """)
    assert found.imports == ["a", "b.c", "d.e"]
    assert found.lazy_imports == ["f"]


@pytest.mark.parametrize(
    ("statement", "package", "names"),
    [
        ("from . import x", "p.q", ["p.q.x"]),
        ("from .m import x, y", "p.q", ["p.q.m.x", "p.q.m.y"]),
        ("from ..m import x", "p.q", ["p.m.x"]),
        ("from m import *", "p", ["m"]),
        ("from . import x", "", ["x"]),
        ("import a.b as c", "p", ["a.b"]),
    ],
)
def test_names_of_imports_are_made_absolute(statement: str, package: str, names: list[str]) -> None:
    node = ast.parse(statement).body[0]
    assert isinstance(node, ast.Import | ast.ImportFrom)
    assert imported_names(node, package) == names


def test_a_package_imports_relative_to_itself() -> None:
    assert measure("pack/__init__.py", b"from . import mod\n").imports == ["pack.mod"]
    assert measure("pack/mod.py", b"from . import other\n").imports == ["pack.other"]


@pytest.mark.parametrize(
    "source", [b"def f(:\n", b"x = '\0'\n", b"# -*- coding: nonsense -*-\n", b"(" * 300 + b")" * 300]
)
def test_what_can_not_be_parsed_says_why(source: bytes) -> None:
    with pytest.raises(NotParsable, match=r"\w"):
        parse(source)


def test_advice_of_the_compiler_is_no_finding() -> None:
    assert measured("x = '\\d'\n").lines == 1


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_measured_or_not_parsable(source: bytes) -> None:
    try:
        found = measure("m.py", source)
    except NotParsable:
        return
    assert found.lines == len(source.splitlines())


def shapes(source: str) -> dict[str, FunctionShape]:
    return {shape.name: shape for shape in function_shapes(ast.parse(textwrap.dedent(source)))}


@pytest.mark.parametrize(
    ("body", "complexity"),
    [
        ("pass", 1),
        ("if a: pass", 2),
        ("if a and b or c: pass", 4),
        ("x = 1 if a else 2", 2),
        ("for x in y: pass", 2),
        ("while a: pass", 2),
        ("x = [y for y in z if y]", 2),
        ("assert a", 2),
        ("try: pass\n    except A: pass\n    except B: pass", 3),
        ("match a:\n        case 1: pass\n        case _: pass", 3),
        ("def inner():\n        if a: pass", 1),
    ],
)
def test_complexity_counts_decisions(body: str, complexity: int) -> None:
    assert shapes(f"def f():\n    {body}\n")["f"].complexity == complexity


def test_nesting_counts_levels_and_takes_elif_for_one() -> None:
    found = shapes("""\
        def flat():
            pass
        def chained():
            if a: pass
            elif b: pass
            elif c: pass
        def deep():
            for a in b:
                with c:
                    if d:
                        pass
        def after():
            if a:
                pass
            else:
                if b:
                    pass
                x = 1
    """)
    assert {name: shape.nesting for name, shape in found.items()} == {"flat": 0, "chained": 1, "deep": 3, "after": 2}


def test_fan_out_counts_different_names_that_are_called() -> None:
    found = shapes("""\
        def f():
            a(); a(); b.c(); b.d(); g()()
            def inner(): z()
    """)
    assert found["f"].fan_out == 5  # a, b.c, b.d, g, and what g() returns
    assert found["f.inner"].fan_out == 1


def test_the_most_complex_function_comes_first() -> None:
    assert list(shapes("def a(): pass\ndef b():\n    if x: pass\n")) == ["b", "a"]


def module(name: str, imports: str = "", lazy: str = "") -> ModuleFindings:
    return ModuleFindings(name, f"{name}.py", 1, 0, 0, 0, [], imports.split(), lazy.split(), [])


def test_imports_of_names_count_for_the_module_that_holds_them() -> None:
    summary = import_summary([module("a", "b.c.function os"), module("b.c"), module("b", "b.own")])
    assert [(each.module, each.importers) for each in summary.most_imported] == [("b.c", 1)]
    assert (summary.modules, summary.imports) == (3, 1)


def test_a_cycle_is_found_and_a_lazy_import_closes_none() -> None:
    modules = [module("a", "b"), module("b", "c"), module("c", "a"), module("d", "e"), module("e", lazy="d")]
    assert import_summary(modules).cycles == [ImportCycle(3, ["a", "b", "c"])]


def test_of_a_long_cycle_the_first_members_are_told() -> None:
    names = [f"m{number:02d}" for number in range(20)]
    modules = [module(name, names[(at + 1) % 20]) for at, name in enumerate(names)]
    assert import_summary(modules).cycles == [ImportCycle(20, names[:MEMBERS_KEPT])]


def test_copies_are_found_up_to_their_indentation() -> None:
    body = "\n".join(f"    x{number} = {number}" for number in range(10))
    plain = f"def f():\n{body}\n"
    method = "class A:\n" + textwrap.indent(plain, "    ")
    summary = copy_summary([measure("a.py", plain.encode()), measure("b.py", method.encode())])
    assert (summary.groups, summary.copied_lines) == (1, 11)
    assert summary.worst[0].places == ["a:1 f", "b:2 A.f"]


def test_short_functions_and_those_inside_of_others_are_no_copies() -> None:
    short = "def f():\n    return 1\n"
    inner = "def g{0}():\n    y = {0}\n    def h():\n" + "        x = 1\n" * 10
    modules = [measure(f"{name}.py", source.encode()) for name, source in (("a", short), ("b", short))]
    modules += [measure(f"n{number}.py", inner.format(number).encode()) for number in (1, 2)]
    assert copy_summary(modules).groups == 0

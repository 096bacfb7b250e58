"""The house itself: what imports cost, what files look like, what is public, and papers that agree with the code."""

from __future__ import annotations

import ast
import os
import re
import resource
import statistics
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE_ROOTS = ("constellation", "protocol", "tools", "devices", "benchmarks")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

MOST_LINES = 400

HEAVY = {
    "networkx", "openai", "litellm", "mcp", "ray", "rich", "typer", "click",
    "jsonschema", "cel", "ruamel", "sqlite3", "psycopg", "psutil", "websockets", "h11",
}  # fmt: skip

MOST_IMPORT_COST = 1.8
"""CPU time of `import constellation`, as a multiple of that of `import pydantic`."""


def sources() -> list[Path]:
    """All Python files of the packages."""
    return [file for root in SOURCE_ROOTS for file in sorted((ROOT / root).rglob("*.py"))]


def python_files() -> list[Path]:
    """All Python files of the repository."""
    more = [file for folder in ("tests", "examples", ".ci") for file in sorted((ROOT / folder).rglob("*.py"))]
    return [*sources(), *more]


def run_python(program: str) -> str:
    """The output of a program in an interpreter whose imports are not watched by the measurement of coverage."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def cpu_s(program: str) -> float:
    """CPU seconds that an interpreter takes for a program, its own start included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run_python(program)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_importing_the_sdk_loads_nothing_heavy() -> None:
    loaded = run_python("import constellation, sys; print(*{name.partition('.')[0] for name in sys.modules})").split()
    assert HEAVY & set(loaded) == set()


def test_importing_the_sdk_costs_at_most_1_8_times_what_importing_pydantic_costs() -> None:
    ours, theirs, bare = [], [], []
    for _ in range(7):  # in turns, so that what else the machine does weighs on all alike
        ours.append(cpu_s("import constellation"))
        theirs.append(cpu_s("import pydantic; pydantic.BaseModel"))
        bare.append(cpu_s(""))
    start = statistics.median(bare)
    ratio = (statistics.median(ours) - start) / (statistics.median(theirs) - start)
    assert ratio <= MOST_IMPORT_COST


def test_names_of_the_sdk_are_loaded_when_they_are_used() -> None:
    program = "import constellation as c; [getattr(c, name) for name in c.__all__]; print('all there')"
    assert run_python(program) == "all there\n"


@pytest.mark.parametrize("file", python_files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_every_file_begins_by_saying_what_it_is_for(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{file} has no docstring"


def test_files_are_short_enough_to_be_about_one_thing() -> None:
    lengths = {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8").count("\n") for file in sources()}
    overlong = {name for name, lines in lengths.items() if lines > MOST_LINES}
    assert overlong == set(), "ask what two things these are"


def test_every_package_says_that_it_is_typed() -> None:
    packages = [ROOT / path for path in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]]
    assert [package for package in packages if not (package / "py.typed").is_file()] == []


def test_the_public_surface_is_what_is_written_down() -> None:
    printed = subprocess.run(
        [sys.executable, ROOT / "tests" / "public_api.py"], capture_output=True, text=True, check=True
    ).stdout
    written = (ROOT / "tests" / "public_api.txt").read_text(encoding="utf-8")
    assert printed == written, "meant? then: .venv/bin/python tests/public_api.py >tests/public_api.txt"


def test_the_installed_version_is_the_one_of_the_project() -> None:
    assert metadata.version("constellation-agents") == PROJECT["project"]["version"]


def test_the_changelog_has_the_version_or_says_what_it_will_be() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version = PROJECT["project"]["version"]
    assert f"## [{version}]" in text or f"What will be {version}" in text


def test_every_dependency_is_documented_and_no_other() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    always, extras, dev, build = re.split(r"^## ", page, flags=re.MULTILINE)[1:5]
    project = PROJECT["project"]
    optional = project["optional-dependencies"]
    assert first_cells(always) == names(project["dependencies"])
    assert first_cells(extras) == set(optional) - {"dev"}
    assert first_cells(dev) == names(optional["dev"])
    assert first_cells(build) == names(PROJECT["build-system"]["requires"])
    for extra, requirements in optional.items():
        if extra not in ("dev", "all"):
            (row,) = (line for line in extras.splitlines() if line.startswith(f"| `{extra}` "))
            assert names(requirements) <= set(re.findall(r"`([\w.-]+)`", row))


def names(requirements: list[str]) -> set[str]:
    """The names of required packages."""
    found = (re.match(r"[\w.-]+", requirement) for requirement in requirements)
    return {match[0] for match in found if match is not None}


def first_cells(section: str) -> set[str]:
    """What stands in code in the first cells of a section's table."""
    rows = (line.split("|")[1] for line in section.splitlines() if line.startswith("| `"))
    return {name for cell in rows for name in re.findall(r"`([\w.-]+)`", cell)}

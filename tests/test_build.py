"""What builds the distribution, where it can't do all it is there for."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Generic, TypeVar

import pytest

HOOK = Path(__file__).parents[1] / "hatch_build.py"
Config = TypeVar("Config")


class Interface(Generic[Config]):
    """As much of hatchling's as the hook uses; hatchling is only there while something is built."""

    target_name = "wheel"

    def __init__(self, root: Path, warnings: list[str]) -> None:
        self.root = str(root)
        self.app = SimpleNamespace(display_warning=warnings.append)


@pytest.fixture
def hook_type(monkeypatch: pytest.MonkeyPatch) -> Any:
    known: dict[str, dict[str, Any]] = {
        "hatchling.builders.hooks.plugin.interface": {"BuildHookInterface": Interface},
        "setuptools": {"Distribution": None, "Extension": None},
        "setuptools.command.build_ext": {"build_ext": None},
    }
    for name, members in known.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    return runpy.run_path(str(HOOK))["CompiledOrder"]


@pytest.mark.parametrize("can_compile", [True, False])
@pytest.mark.parametrize("can_write", [True, False])
def test_an_editable_install_has_what_is_compiled_beside_its_source_or_goes_without(
    can_compile: bool, can_write: bool, hook_type: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = tmp_path / "constellation" / "constellation" / "graph" / "compiled_order.abi3.so"
    if can_write:
        beside.parent.mkdir(parents=True)
        beside.write_bytes(b"old")
    else:
        (tmp_path / "constellation").write_bytes(b"")  # nobody can write below a file, not even root

    def compiles(self: Any, folder: Path) -> Path | None:
        made = folder / "compiled_order.abi3.so"
        made.write_bytes(b"new")
        return made if can_compile else None

    monkeypatch.setattr(hook_type, "_compile", compiles)
    warnings: list[str] = []
    hook, data = hook_type(tmp_path, warnings), {"pure_python": True}
    hook.initialize("editable", data)
    hook.finalize("editable", data, "")
    is_there = can_compile and can_write
    assert data["pure_python"] is not is_there
    assert (beside.read_bytes() if beside.is_file() else None) == (b"new" if is_there else None)
    assert bool(warnings) is not can_write

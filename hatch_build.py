"""Compiles the topological order of graphs into the wheel, where there is a C compiler.

Without one, or for an interpreter that has no stable ABI, the wheel is pure Python and does the same, slower. The
stable ABI lets one file serve all versions of Python from 3.11 on.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext

SOURCES = "constellation/constellation/graph/compiled"
COMPILED = "constellation/constellation/graph/compiled_order.abi3.so"


class CompiledOrder(BuildHookInterface[Any]):
    """Builds the extension module and tells the wheel of it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, before the wheel is put together; an editable one finds the module beside its source."""
        if self.target_name != "wheel":
            return
        self._folder = tempfile.TemporaryDirectory(prefix="constellation-build-")
        compiled = self._compile(Path(self._folder.name))
        if version == "editable":
            compiled = self._put_beside(compiled)
        if compiled is None:
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"cp311-abi3-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
        if version != "editable":
            build_data["force_include"][str(compiled)] = COMPILED

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Clear away what was compiled."""
        if self.target_name == "wheel":
            self._folder.cleanup()

    def _put_beside(self, compiled: Path | None) -> Path | None:
        """Put the module, or none, beside its source; where nothing can be written there, an install goes without."""
        beside = Path(self.root) / COMPILED
        try:
            beside.unlink(missing_ok=True)  # what processes have loaded stays theirs
            return compiled and shutil.copyfile(compiled, beside)
        except OSError as error:
            self.app.display_warning(f"what is compiled has no place ({error}), so it is left out")
            return None

    def _compile(self, folder: Path) -> Path | None:
        if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
            return None
        sources = [str(path) for path in sorted(Path(self.root, SOURCES).glob("*.c"))]
        extension = Extension("compiled_order", sources, py_limited_api=True, optional=True)
        command = build_ext(Distribution({"ext_modules": [extension]}))
        command.build_lib, command.build_temp = str(folder), str(folder / "objects")
        command.ensure_finalized()
        command.run()
        compiled = next(folder.glob("compiled_order*"), None)
        if compiled is None:
            self.app.display_warning(f"{SOURCES} could not be compiled, so large graphs will be edited more slowly")
        return compiled

"""Chromium itself: found on this machine, started for Playwright under the supervisor, and gone when it should be.

Playwright's driver starts the browser, and would be the only one to end it. So it is given a script in place of the
browser: that runs the supervisor, which holds the browser to limits and kills all of its processes when the pipe that
this process holds open is closed, be it on purpose or because this process was killed.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import ToolFailed
from .network import AllowList
from .processes import MARK, SUPERVISOR, ProcessLimits, clean_environment, kill_family, specification

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""What Chromium is called on the PATH."""

_NO_SESSION = -1


@dataclass(frozen=True, slots=True)
class BrowserSettings:
    """What a browser is made with; see `browser_tools`."""

    allowed: AllowList
    executable: Path | None
    chromium_sandbox: bool | None
    limits: ProcessLimits
    max_pages: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Launcher:
    """What is started in place of the browser.

    Attributes:
        script: The program to start.
        env: Its environment.
        folder: Where its supervisor says how it ended.
    """

    script: Path
    env: dict[str, str]
    folder: Path

    def exceeded(self) -> str | None:
        """The limit that the browser was killed for, if it was."""
        try:
            limit: str | None = json.loads((self.folder / "status").read_text()).get("limit")
        except (OSError, ValueError):  # it runs, or its supervisor was killed
            return None
        return limit


def find_chromium(named: Path | None) -> Path:
    """Find the browser.

    Raises:
        ToolFailed: there is none.
    """
    if named is not None:
        found = shutil.which(named)
        if found is None:
            raise ToolFailed(f"the browser {named} is not a program that can be run")
        return Path(found)
    for name in NAMES:
        if (found := shutil.which(name)) is not None:
            return Path(found)
    raise ToolFailed(
        f"no browser is on the PATH ({', '.join(NAMES)}): install Chromium, as with `apt install chromium`, or name "
        "its program in browser_tools(executable=...)"
    )


@contextmanager
def launcher(program: Path, folder: Path, limits: ProcessLimits) -> Iterator[Launcher]:
    """Prepare what is started in place of the browser; afterwards none of the browser's processes is left.

    Args:
        program: The browser.
        folder: An empty directory for it.
        limits: What all of its processes may use.
    """
    mark = secrets.token_hex(16)
    home = folder / "home"
    home.mkdir()
    env = {**clean_environment(str(home)), "TMPDIR": str(home), MARK: mark}
    (folder / "spec").write_text(json.dumps(specification([str(program)], env, limits)))
    os.mkfifo(folder / "lifeline", 0o600)
    script = folder / "browser"
    command = shlex.join([sys.executable, "-I", "-S", SUPERVISOR, "--in", str(folder)])
    script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    script.chmod(0o700)
    held = os.open(folder / "lifeline", os.O_RDWR | os.O_CLOEXEC)  # for both, so that it waits for no reader
    try:
        yield Launcher(script, env, folder)
    finally:
        os.close(held)
        kill_family(_NO_SESSION, mark)

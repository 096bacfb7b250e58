"""Where state lives when nobody says where."""

from __future__ import annotations

import os
from pathlib import Path


def default_home() -> Path:
    """Return the directory of this user's state, which need not exist yet.

    It is `$CONSTELLATION_HOME`, else `constellation` in `$XDG_STATE_HOME` when that is absolute, else
    `~/.local/state/constellation`. An empty variable counts as unset.
    """
    if chosen := os.environ.get("CONSTELLATION_HOME"):
        return Path(chosen).expanduser().absolute()
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (state if state.is_absolute() else Path.home() / ".local" / "state") / "constellation"

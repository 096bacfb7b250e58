"""Applications: programs with a planner and a report of their own, whose runs `constellation resume` can go on with.

An application says in the info of each run that it starts which one it is, `{"app": "<name>"}`, and offers an object of
type `App` under that name as an entry point in the group `constellation.apps`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from .errors import BadInput

if TYPE_CHECKING:
    from ..journal import Journal
    from ..orchestrator.planning import Planner
    from ..orchestrator.run import Run

GROUP = "constellation.apps"
INFO_KEY = "app"


class App(Protocol):
    """What it takes to go on with a run of an application. `info` is what it gave when it submitted the run."""

    def planner(self, info: Mapping[str, Any]) -> Planner | None:
        """Who looks at the run's stars from now on."""

    def report_file(self, info: Mapping[str, Any]) -> Path | None:
        """Where the run's report goes when the command line does not say."""

    async def write_report(self, run: Run, journal: Journal, path: Path) -> None:
        """Write the report of a run that has ended; raises OSError."""


def app_of(run: str, info: Mapping[str, Any]) -> App | None:
    """The application that a run belongs to, if any.

    Raises:
        BadInput: it is not installed, or can't be loaded.
    """
    name = info.get(INFO_KEY)
    if name is None:
        return None
    point = next(iter(entry_points(group=GROUP, name=str(name))), None)
    if point is None:
        raise BadInput(f"run {run} belongs to the application {name!r}, which is not installed here; install it first")
    try:
        return cast("App", point.load())
    except Exception as error:  # whatever is wrong with someone else's code
        raise BadInput(
            f"run {run} belongs to the application {name!r}, which can't be loaded from {point.value!r}: "
            f"{type(error).__name__}: {error}; reinstall it"
        ) from error

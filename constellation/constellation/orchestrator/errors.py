"""Errors of the SDK.

ConstellationError
├── AdmissionRefused     no connected device can serve a graph; knows the stars and the reasons
├── EmptyGraph           a graph without stars was to be run
├── TooLarge             a graph or an edit is larger than the journal takes
├── RunFailed            a run has ended without success; knows the failed stars, causes and what was skipped
├── RunInUse             another orchestrator works on the run
├── OrchestratorStopped  something was asked of an orchestrator that is being closed
├── CannotResume         the run has ended, or its journal does not let it go on
│   └── DecisionNeeded   someone has to say what becomes of work that may or may not have been done
├── BadDump              a file is no state dump, or a damaged one; knows the record
├── DumpTooLarge         a state dump is larger than a hub hands out
├── UnknownDeviceKind    there is no such kind of device; knows the kinds there are
├── DevicesMissing       the devices that were waited for have not come
├── DeviceUnsuited       functions of this process were given for devices that live in others
├── NameTaken            a function has the name of another one, or of a tool, that is offered already
├── BadCredential        a token can't be made or revoked as asked
├── TokensUnreadable     the list of credentials can't be read, or must not be trusted
├── FilesInUse           files can't be removed, because it can't be told which ones runs need
├── HubUnreachable       the hub can't be dialled, or does not let this client in
└── HubRefused           the hub has refused a request; carries the hub's error
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class ConstellationError(Exception):
    """Base of all errors of the SDK."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a star can't be served, and what to do: the star, what is wrong, and the place in its document."""

    star: str
    message: str
    path: tuple[str | int, ...] = ()

    def __str__(self) -> str:
        return f"star {self.star!r}: {self.message}"


class AdmissionRefused(ConstellationError):
    """Raised when a graph is submitted that the connected devices can't carry out; nothing of it was started.

    Attributes:
        problems: One per star that can't be served.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        shown = "\n  ".join(str(problem) for problem in problems[:10])
        more = f"\n  and {len(problems) - 10} more" if len(problems) > 10 else ""
        lead = "" if len(problems) == 1 else f"{len(problems)} stars can't be served:\n  "
        super().__init__(f"{lead}{shown}{more}")
        self.problems = tuple(problems)


class EmptyGraph(ConstellationError):
    """Raised when a graph without stars is to be run.

    Such a run would end before any edit could reach it, and would be told as a success of work that was never there:
    far more often than not, whatever was to make the stars has made none.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} has no stars, so there is nothing to run: add stars before it is submitted")


class TooLarge(ConstellationError):
    """Raised when a graph or an edit is larger than one record of the journal may be; nothing of it was taken."""

    def __init__(self, what: str, size: int, limit: int) -> None:
        super().__init__(
            f"{what} takes {size / 2**20:.0f} MiB in the journal, and at most {limit / 2**20:.0f} MiB are allowed: "
            "add stars in several edits, and pass large values as files"
        )


class RunFailed(ConstellationError):
    """Raised when the result of a run is asked for and it has not succeeded.

    Attributes:
        run: The run's id.
        state: `failed` or `cancelled`.
        failed: The stars that failed, each with the cause.
        skipped: The stars that were skipped because of it.
    """

    def __init__(
        self, run: str, state: str, failed: Mapping[str, str], skipped: Sequence[str], *, reason: str = ""
    ) -> None:
        causes = "".join(f"\n  {star}: {cause}" for star, cause in list(failed.items())[:10])
        more = f"\n  and {len(failed) - 10} more" if len(failed) > 10 else ""
        left = f"\n  skipped: {', '.join(skipped[:10])}{' …' if len(skipped) > 10 else ''}" if skipped else ""
        what = {"failed": "failed", "cancelled": "was cancelled"}.get(state, state)
        super().__init__(f"run {run} {what}{': ' + reason if reason else ''}{causes}{more}{left}")
        self.run = run
        self.state = state
        self.failed = dict(failed)
        self.skipped = tuple(skipped)


class RunInUse(ConstellationError):
    """Raised when a run is to be resumed that another orchestrator works on, or has been taken over by one."""


class OrchestratorStopped(ConstellationError):
    """Raised when something is asked of an orchestrator that is being closed, and to whoever waits for its runs."""

    def __init__(self) -> None:
        super().__init__("the orchestrator is being closed; what it runs can be resumed")


class FilesInUse(ConstellationError):
    """Raised when artifacts were to be removed and it can't be told which ones are needed; the message says why."""


class CannotResume(ConstellationError):
    """Raised when a run is to be resumed that has ended, or whose journal does not let it go on."""


class DecisionNeeded(CannotResume):
    """Raised when work of a run may or may not have been done, and nobody has said what is to become of it.

    Attributes:
        stars: The stars that were being worked on.
    """

    def __init__(self, run: str, stars: Sequence[str]) -> None:
        shown = ", ".join(stars[:8]) + (f" and {len(stars) - 8} more" if len(stars) > 8 else "")
        super().__init__(
            f"run {run} was stopped in the middle of {shown}, which may have had their effects and are not declared "
            "idempotent: look at what they have done, then resume with --rerun-unknown to run them again, or with "
            "--fail-unknown to count them as failed (rerun_unknown=True or False)"
        )
        self.stars = tuple(stars)


class BadDump(ConstellationError):
    """Raised when a file is to be replayed that is no state dump, or one that is damaged; names the record."""


class DumpTooLarge(ConstellationError):
    """Raised when the state dump of a run is larger than a hub hands out to a client."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"the dump takes {size / 2**20:.0f} MiB, and a hub hands out {limit / 2**20:.0f} MiB: make it on the hub's "
            "machine, without --hub and with the --journal that the hub was given, which may go on meanwhile"
        )


class UnknownDeviceKind(ConstellationError):
    """Raised when a kind of device is asked for that is not installed."""

    def __init__(self, kind: str, known: Sequence[str]) -> None:
        super().__init__(f"there is no device kind {kind!r}; installed are {', '.join(sorted(known)) or 'none'}")
        self.kind = kind


class DevicesMissing(ConstellationError):
    """Raised when devices have not joined in the time allowed."""


class DeviceUnsuited(ConstellationError):
    """Raised when a graph uses functions of this process, but its devices live in other processes."""


class NameTaken(ConstellationError):
    """Raised when a function is given as work whose name already stands for another function, or for a tool."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} already stands for another function or tool that the devices offer: "
            f"give this one a name of its own with @tool(name=…)"
        )
        self.name = name


class BadCredential(ConstellationError):
    """Raised when a token is to be made or revoked in a way that makes no sense; the message says what to do."""


class TokensUnreadable(ConstellationError):
    """Raised when the list of credentials can't be read or is damaged, or when others may have written it."""


class HubUnreachable(ConstellationError):
    """Raised when a hub can't be dialled, or does not let this client in."""


class HubRefused(ConstellationError):
    """Raised when a hub refuses a request.

    Attributes:
        type: The name of the hub's error.
    """

    def __init__(self, type: str, message: str) -> None:
        super().__init__(message)
        self.type = type

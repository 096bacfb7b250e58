"""Finding the run that somebody means: by its whole id, or by the first characters of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .errors import AmbiguousRun, RunNotFound

MATCHES_SHOWN = 5
"""How many ids an error about an unclear one lists."""

SUGGESTIONS_FROM = 1_000
"""How many of the newest runs are looked through for an id like the one asked for."""

LAST_CHARACTER = "\U0010ffff"
"""What every id that begins with some characters comes before, when it follows them."""


def only_match(asked: str, matches: Mapping[str, str | None], known: Sequence[str]) -> str:
    """Choose the run that `asked` stands for: of a run and those that it has started, the run.

    Args:
        asked: A whole id or the beginning of one.
        matches: Ids that begin with it, each with the run that it was started by, those without one first and in order;
            what comes after the first `MATCHES_SHOWN` may be left out.
        known: Ids to suggest from when nothing matches.

    Raises:
        RunNotFound: nothing matches.
        AmbiguousRun: more than one id begins with it, and none is equal to it.
    """
    if asked in matches:
        return asked
    if not asked or not matches:
        import difflib

        raise RunNotFound(asked, difflib.get_close_matches(asked, known, n=MATCHES_SHOWN))
    chosen = [run for run, parent in matches.items() if parent is None] or list(matches)
    if len(chosen) > 1:
        raise AmbiguousRun(asked, chosen[:MATCHES_SHOWN])
    return chosen[0]


def storable(run: str) -> str:
    """Return a run's id, if it can be one: text with lone surrogates, as from a broken command line, is not stored.

    Raises:
        RunNotFound: no run can have this id.
    """
    try:
        run.encode()
    except UnicodeEncodeError:
        raise RunNotFound(run) from None
    return run

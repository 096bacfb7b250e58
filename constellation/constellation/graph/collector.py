"""Keeping Python's collector of cyclic garbage from walking over large graphs in vain."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collections(*, then_old: bool = False) -> Iterator[None]:
    """Make very many objects that live long and no garbage, without the collector walking over all of them.

    It would do so several times while they are made: for a large graph that takes longer than to make them. Afterwards
    they count as young as they are, so that the collector's next look at them is not put off for ever.

    With `then_old`, everything that there is at the end counts as long-lived instead. Else the collector walks over it
    once per generation, and once more over everything because so much has come of age at the same time: a fifth of
    what a run of a hundred thousand stars costs. What becomes garbage is still found by the next full collection, which
    these objects do not bring nearer. So this is for a graph whose stars leave things that do, such as their outcomes:
    one that is going to be run, not one that is only made.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
        if then_old:
            _count_as_old()
    finally:
        gc.enable()


_last_full_look = -1
"""How many full collections there had been when `_count_as_old` last did its work."""


def _count_as_old() -> None:
    """Let everything that there is now count as long-lived.

    It also sets back the count of looks after which a full collection is due, which would never come if this were done
    over and over. So once it is done, nothing is until the collector has looked at everything.

    Objects that somebody has frozen (`gc.freeze`) are to stay frozen, so that nothing is done where there are any.
    """
    global _last_full_look
    full_looks = gc.get_stats()[-1]["collections"]
    if full_looks != _last_full_look and not gc.get_freeze_count():
        _last_full_look = full_looks
        gc.freeze()
        gc.unfreeze()

"""Keeping Python's collector of cyclic garbage out of the making of large graphs."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collections() -> Iterator[None]:
    """Make very many objects that live long and no garbage, without the collector walking over all of them.

    It would do so several times while they are made: for a large graph that takes longer than to make them. Afterwards
    they count as young as they are, so that the collector's next look at them is not put off for ever.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()

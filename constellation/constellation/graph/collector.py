"""Keeping Python's collector of cyclic garbage out of the making of large graphs."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collections() -> Iterator[None]:
    """Make very many objects that live long and no garbage, without the collector walking over all of them.

    It would do so several times while they are made, and once or twice more as they grow old: for a large graph that
    takes longer than to make them. Afterwards they are among the oldest objects at once, where only a full collection
    looks. To freeze and unfreeze costs nothing; a program that keeps objects frozen is left alone.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        if not gc.get_freeze_count():
            gc.freeze()
            gc.unfreeze()

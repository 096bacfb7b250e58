"""What nobody sees does not reach a model, and hides no secret from those who look for it."""

from __future__ import annotations

import pytest

from constellation.planner.fencing import Fence


@pytest.mark.parametrize(
    "unseen", ["\u200b", "\u00ad", "\u061c", "\u3164", "\ufe01", "\U000e0041", "\U000e0101", "\u206a", "\x1b"]
)
def test_what_nobody_sees_is_left_out_and_parts_no_secret(unseen: str) -> None:
    fence = Fence(["hunter2-hunter2"])
    assert fence.text(f"o{unseen}k", tokens=50) == "ok"
    assert fence.text(f"it is hunter2{unseen}-hunter2", tokens=50) == "it is [secret]"


def test_text_that_is_seen_stays() -> None:
    assert fence_of("Grüße, 日本語 ❤️") == "Grüße, 日本語 ❤️"


def fence_of(text: str) -> str:
    return Fence().text(text, tokens=50)

"""The guide to tools is true: its code blocks run, one after the other."""

import re
from pathlib import Path
from typing import Any

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "tools.md"


@pytest.mark.e2e
def test_the_code_blocks_of_the_guide_run_from_top_to_bottom() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": "guide"}
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
    assert len(blocks) >= 8
    for block in blocks:
        line = text[: block.start(1)].count("\n")
        exec(compile("\n" * line + block[1], str(GUIDE), "exec"), names)

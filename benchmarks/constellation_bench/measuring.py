"""A program: call one function in this fresh interpreter, and write down what it returns.

python -m constellation_bench.measuring MODULE:FUNCTION QUESTION FOLDER ANSWER

QUESTION is a file with a JSON object of keyword arguments, FOLDER an empty directory, ANSWER the file for the JSON that
the function returns. What the function has started and not stopped is killed in the end.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from .processes import kill_all


def main(function: str, question: str, folder: str, answer: str) -> None:
    """Call the function and write its answer; what it raises ends this process."""
    module, _, name = function.partition(":")
    call: Callable[..., Any] = getattr(importlib.import_module(module), name)
    try:
        result = call(**json.loads(Path(question).read_text(encoding="utf-8")), folder=Path(folder))
        Path(answer).write_text(json.dumps(result), encoding="utf-8")
    finally:
        kill_all(psutil.Process().children(recursive=True))


if __name__ == "__main__":
    main(*sys.argv[1:])

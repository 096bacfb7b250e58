"""A program: carry out the code blocks of one page from top to bottom, as a reader would.

    python run_page.py PAGE

Works in the present directory. Python blocks share one module; shell blocks run in bash, console blocks by what stands
behind their prompts; a block with a title is written to a file of that name instead.
"""

import linecache
import subprocess
import sys
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from pages import Block, blocks

PROMPT = "$ "


def main(page: Path) -> None:
    """Carry out a page; what goes wrong comes out as an exception."""
    module = types.ModuleType("page")
    sys.modules["page"] = module
    sys.path.insert(0, ".")
    for block in blocks(page):
        if block.no_run is not None:
            continue
        if block.title is not None:
            Path(block.title).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            _run_python(page, block, module)
        elif block.language in ("bash", "sh"):
            _run_shell(block, block.text)
        elif block.language == "console":
            lines = block.text.splitlines()
            _run_shell(block, "\n".join(line.removeprefix(PROMPT) for line in lines if line.startswith(PROMPT)))


def _run_python(page: Path, block: Block, module: types.ModuleType) -> None:
    source = "\n" * (block.line - 1) + block.text
    name = f"{page}:{block.line}"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    exec(compile(source, name, "exec"), module.__dict__)


def _run_shell(block: Block, script: str) -> None:
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit(f"the shell block at line {block.line} ended with {done.returncode}:\n{script}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

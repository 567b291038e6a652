"""One shell session that runs the blocks of a page, as a reader would type them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.pages import Block


def run_blocks(found: Sequence[Block], folder: Path) -> list[str]:
    """Run the blocks in one bash in `folder`; each block's output (both streams).

    The first command that fails ends the session. `spica` is the one of this installation.

    Raises
    ------
    AssertionError
        A command failed, or a block's output lacks what the page says; named by the page's line.
    """
    outputs = [folder / f".block-{number}.out" for number in range(len(found))]
    script = ["set -euo pipefail"]
    for block, output in zip(found, outputs, strict=True):
        script += [f"exec >'{output}' 2>&1", block.code]
    environment = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    environment |= {"COLUMNS": "120", "NO_COLOR": "1"}
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    texts = [output.read_text() if output.exists() else "" for output in outputs]
    last = max((number for number, output in enumerate(outputs) if output.exists()), default=0)
    assert done.returncode == 0, f"the block at line {found[last].line} ended with {done.returncode}:\n{texts[last]}"
    for block, text in zip(found, texts, strict=True):
        for pattern in block.expected:
            assert re.search(pattern, text), f"the block at line {block.line} does not say {pattern!r}:\n{text}"
    return texts

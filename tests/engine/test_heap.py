"""Memory that workers keep."""

import subprocess
import sys

_SCRIPT = """
import resource
import numpy as np
from spica.engine.executors.heap import keep_freed_memory

kept = keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    plane = np.ones((2048, 4096), np.float32)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first, second = faults(), faults()
print(kept, first, second)
"""


def test_a_freed_image_leaves_its_place_to_the_next() -> None:
    answer = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True)
    kept, first, second = answer.stdout.split()
    assert kept == ("True" if sys.platform == "linux" else "False")
    if kept == "True":
        assert int(second) < 0.1 * int(first) + 8, "no fresh pages are asked of the system"

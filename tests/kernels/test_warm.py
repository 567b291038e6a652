"""Warming: every kernel is in the list, and the cache holds it afterwards."""

import importlib.util
import json
import os
import subprocess
import sys
from enum import IntFlag
from pathlib import Path

import numpy as np
import pytest

from spica.kernels import warm
from spica.kernels.aperture import circular_photometry
from spica.kernels.background import expand_grid, filter_grid, mesh_statistics
from spica.kernels.clean import clean
from spica.kernels.combine import combine
from spica.kernels.deblend import deblend
from spica.kernels.detect import find_segments
from spica.kernels.measure import Photometry, measure_sources
from spica.kernels.overscan import overscan_rows
from spica.kernels.robust import robust_statistics
from spica.kernels.seeing import star_widths
from spica.kernels.warm import KERNELS, compile_all, forget_stale
from spica.kernels.wcs import sky_to_pixel, tangent_wcs


class Mark(IntFlag):
    BAD = 1


WARM = """
import importlib
import json
import pkgutil
from pathlib import Path
import spica.kernels
from spica.kernels import warm

for module in pkgutil.iter_modules(spica.kernels.__path__):
    importlib.import_module(f"spica.kernels.{module.name}")

def cached(function):
    # Index files that numba keeps of a function, in the form that it has had since its version 0.19.
    code = function.py_func.__code__
    name = f"{Path(code.co_filename).stem}.{function.py_func.__qualname__}-{code.co_firstlineno}"
    return list(Path(function.stats.cache_path).glob(f"{name}.py*.nbi"))

steps = []
seconds = warm.compile_all(lambda *step: steps.append(step))
missing = [function.py_func.__qualname__ for function in warm._dispatchers() if not cached(function)]
print(json.dumps([steps, seconds, missing, len(list(warm._dispatchers()))]))
"""


def test_after_warming_the_cache_holds_every_compiled_function() -> None:
    # In a process of its own: kernels that this one has loaded already would not be compiled again.
    run = subprocess.run([sys.executable, "-c", WARM], capture_output=True, text=True, check=True)
    steps, seconds, missing, total = json.loads(run.stdout)
    assert steps == [[number, len(KERNELS), name] for number, (name, _) in enumerate(KERNELS, start=1)]
    assert seconds > 0
    assert missing == []
    assert total > 60


def test_doors_convert_so_that_nothing_is_compiled_for_other_dtypes() -> None:
    compile_all()
    before = sum(len(function.signatures) for function in warm._dispatchers())
    image = np.ones((8, 8))
    mask = np.zeros((8, 8), dtype=np.uint8)
    frozen = np.frombuffer(image.astype(">f4").tobytes(), ">f4").reshape(8, 8)
    for plane in (image, frozen, image.T, image.astype(np.int16), np.ones((16, 16))[::2, ::2]):
        overscan_rows(plane, method="mean")
        combine(plane[None], mask[None], scales=np.ones(1, dtype=np.float32), method="median")
        level, _ = mesh_statistics(plane, mask, box=(4, 8))
        expand_grid(filter_grid(level.astype(np.float32)), (8, 8), (4, 8))
        segments = find_segments(plane, plane - 1, plane, 2, 0, mask, min_area=2)
        segments = clean(deblend(segments, (plane, plane), levels=8, rise=1), 1, beta=2)
        measure_sources(plane, plane, plane, segments, segments.labels(), Photometry((1, 2), fwhm=2), mask)
        star_widths(plane, plane, plane, mask, height=5)
        circular_photometry(plane, plane, [3], 3, (1, 2), mask, bad_bits=Mark.BAD, labels=mask, own=[1])
        robust_statistics(plane, mask, bad_bits=7, kappa=3)
    sky_to_pixel(tangent_wcs([0, 0], [1, 1], [[1, 0], [0, 1]], pv=np.eye(2)), np.float32(0.5), 1)
    assert sum(len(function.signatures) for function in warm._dispatchers()) == before


TINY = """
from spica.kernels.compiled import compiled


@compiled
def tiny(value: float) -> float:
    return value
"""


def test_what_is_older_than_a_source_of_its_own_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tiny.py"
    path.write_text(TINY)
    # Named as the room's own: one that it imports, one that this one imports, and one that has nothing to do with it.
    imported, further, other = (tmp_path / f"{name}.py" for name in ("compiled", "further", "other"))
    imported.write_text("from spica.kernels import (\n    further,\n)\n")
    further.write_text("from spica.kernels.compiled import nothing\n")
    other.write_text("")
    spec = importlib.util.spec_from_file_location("tiny", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "tiny", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(warm, "_dispatchers", lambda: iter([module.tiny]))
    cache = Path(module.tiny.stats.cache_path)
    assert not list(cache.glob("*.nbi"))
    assert module.tiny(2.0) == 2.0
    (index,) = cache.glob("*.nbi")
    for changed, removed in ((other, 0), (further, 1), (imported, 1), (path, 1)):
        index.touch()
        later = index.stat().st_mtime + 1
        assert forget_stale() == 0
        os.utime(changed, (later, later))
        assert forget_stale() == removed
        assert index.exists() == (removed == 0)
        os.utime(changed, (0, 0))


SPARED = """
import sys
import numba
import numpy as np
from spica.kernels.warm import compile_all

compile_all()
print("scipy.linalg" in sys.modules)
square = np.array([[1.0, 2.0], [3.0, 5.0]])
print(np.array_equal(numba.njit(lambda a, b: a @ b)(square, square), square @ square))
print("scipy.linalg" in sys.modules)
"""


def test_linear_algebra_is_loaded_by_what_uses_it_alone() -> None:
    run = subprocess.run([sys.executable, "-c", SPARED], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "True", "True"]

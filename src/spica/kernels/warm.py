"""Compile every kernel, or load it from the cache, by calling each front door once with tiny arguments.

A kernel is compiled for one set of dtypes: the front doors convert what they are given. So one call of each door, as
here, makes all that a production will need.
"""

import gc
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
from numba.core.dispatcher import Dispatcher

from spica.kernels import rice
from spica.kernels.aperture import circular_photometry
from spica.kernels.background import expand_grid, filter_grid, mesh_statistics
from spica.kernels.bleeding import mark_bleeding
from spica.kernels.cells import bin_mean, cell_means
from spica.kernels.clean import clean
from spica.kernels.coarse import coarse_sky
from spica.kernels.combine import combine, take
from spica.kernels.cosmics import Barred, find_cosmics
from spica.kernels.crosstalk import add_fraction
from spica.kernels.deblend import deblend
from spica.kernels.detect import find_segments
from spica.kernels.detrend import Amplifier, Box, Readout, detrend_amplifiers, empty_planes
from spica.kernels.draw_warm import DRAWING
from spica.kernels.interpolate import interpolate
from spica.kernels.measure import Photometry, measure_sources
from spica.kernels.overscan import overscan_rows
from spica.kernels.psf_companion import brightest_point
from spica.kernels.psf_cut import Neighbours, cut_stars
from spica.kernels.psf_fit import Stamps, apply_normal
from spica.kernels.psf_model import psf_stamps, stamp_at
from spica.kernels.psf_solve import Grid, legendre_basis, samples_across, solve
from spica.kernels.psf_sources import Fitting, blurred, fit_sources
from spica.kernels.resample import kernel, prepare
from spica.kernels.resample_way import Way
from spica.kernels.robust import robust_statistics
from spica.kernels.seeing import star_widths
from spica.kernels.sharpness import peak_widths
from spica.kernels.skymesh import sky_mesh
from spica.kernels.skynoise import sky_noise
from spica.kernels.stack import METHODS, Bits, Facts, deposit, empty_sums, empty_values, finish
from spica.kernels.stack_settle import settle
from spica.kernels.stars import fit_moffats
from spica.kernels.tangent import tangent_deproject, tangent_project
from spica.kernels.trails import best_line, binned, profiles
from spica.kernels.wcs import pixel_to_plane, pixel_to_sky, sky_to_pixel, tangent_wcs
from spica.kernels.wordsum import word_sum

_IMPORTS = re.compile(r"^from spica\.kernels(?:\.(\w+))? import (\([^)]*\)|.*)$", re.MULTILINE)

_IMAGE = np.ones((8, 8), dtype=np.float32)
_MASK = np.zeros((8, 8), dtype=np.int32)
_PLACE = np.full(1, 4.0)
_WCS = tangent_wcs([0.0, 0.0], [0.0, 0.0], np.eye(2))


def _detrend() -> None:
    box = Box(0, 8, 0, 8)
    readout = Readout(box, box, flip_x=False, flip_y=False, gain=1.0, read_noise=1.0, saturation=1e5)
    for dtype in (np.uint16, np.float32):
        detrend_amplifiers(_IMAGE.astype(dtype), [Amplifier(readout)], empty_planes((8, 8), 0))


def _crosstalk() -> None:
    box = Box(0, 8, 0, 8)
    add_fraction(_IMAGE.copy(), _IMAGE, box, _IMAGE, box, levels=_IMAGE[0], fraction=0.0, saturation=1e5)


def _interpolate() -> None:
    interpolate(_IMAGE, _IMAGE, _MASK, replaced=1, unfit=1, mark=2, reach=1)


def _combine() -> None:
    stack, noise = np.ones((3, 8, 8), dtype=np.float32), np.zeros((8, 8))
    take(_IMAGE, _IMAGE, _MASK, bad_bits=0, scale=1.0, out=stack[0], noise=noise, good=_MASK.copy())
    combine(stack)


def _stack() -> None:
    across, up = np.meshgrid([0.0, 8.0], [0.0, 8.0])
    path = Way(0, 0, 8, np.stack([across, up, 0 * up + 1, 0 * up]))
    facts, bits = Facts(1.0, 1.0, 0.0, 1.0), Bits(0, 0, 0)
    for deep in (0, 1):
        sums, values = empty_sums(8, 8), empty_values(8, 8, deep)
        window = prepare(_IMAGE, _IMAGE, _MASK, 0)
        deposit(window, 0, 8, path, kernel("nearest"), 0, facts, 0, bits, sums, values)
    settle(METHODS["clipped"], (0.0, 1.0), bits, [facts], sums, values)
    finish(sums, 0, bits, stepped=False)


def _background() -> None:
    level, _ = mesh_statistics(_IMAGE, _MASK, box=4)
    expand_grid(filter_grid(level), (8, 8), 4)
    sky_mesh(_IMAGE, _MASK, box=8)


def _sources() -> None:
    two = np.ones((8, 8), dtype=np.float32)
    two[1, 1] = two[1, 6] = two[6, 3] = 50.0
    found = find_segments(two, 0 * two, _IMAGE, 1.0, 0.5, _MASK)
    found = clean(deblend(found, (_IMAGE, _IMAGE), rise=0.0, min_area=1), 0.5, min_area=1)
    measure_sources(two, 0 * two, _IMAGE, found, found.labels(), Photometry(), _MASK)


def _cosmics() -> None:
    sky = coarse_sky(_IMAGE, _MASK, bad_bits=0, box=8, step=1)
    peak_widths(_IMAGE, _IMAGE, _MASK, sky, bad_bits=0)
    find_cosmics(_IMAGE, _IMAGE, _MASK, sky, 2.0, barred=Barred(0, 0), cosmic_bit=1)


def _trails() -> None:
    sky = coarse_sky(_IMAGE, _MASK, bad_bits=0, box=8, step=1)
    best_line(binned(_IMAGE, _IMAGE, _MASK, sky, bad_bits=0, side=2, cap=1.0), 2, least=1.0)
    profiles(_IMAGE, _IMAGE, _MASK, sky, np.ones((4, 4)), bad_bits=0, half=1, piece=2)


def _point_sources() -> None:
    cube = np.ones((1, 9, 9), dtype=np.float32)
    one, yes = np.ones(1), np.ones(1, dtype=bool)
    psf = cube, blurred(cube, 0.1), one[:, None], 1.0
    places = _PLACE, _PLACE, one, yes, ~yes
    fit_sources(_IMAGE, 0 * _IMAGE, _IMAGE, _MASK, psf, places, Fitting(2.0, 3.0, 2.0, sweeps=1))
    stamps = _IMAGE[None]
    brightest_point(stamps, stamps, stamps[:, :3, :3].copy(), 1.0, 1.0, np.zeros((4, 1)))


def _rice() -> None:
    room = np.empty(rice.bound(8, 8), dtype=np.uint8)
    ends = np.empty(8, dtype=np.int64)
    rice.encode_integers(_MASK, room, ends)
    rice.encode_shorts(_MASK.astype(np.int16), room, ends)
    rice.encode_floats(_IMAGE, 1.0, 0.0, room, ends)
    # The bytes of a file are read-only.
    coded = (np.frombuffer(room.tobytes(), np.uint8), np.concatenate([[0], ends[:-1]]), ends, 4, rice.BLOCK)
    rice.decode_integers(*coded, np.empty((8, 8), dtype=np.int32))
    rice.decode_floats(*coded, 1.0, 0.0, rice.BLANK, np.nan, np.empty((8, 8), dtype=np.float32))


def _psf() -> None:
    cube = np.ones((1, 9, 9), dtype=np.float32)
    psf_stamps(cube, np.ones((1, 1)), 1.0, _PLACE, _PLACE, 5)
    stamp_at(cube, 0, (0.0, 0.0), (1.0, 1.0), 1.0, 4.0, 4.0, 5)
    none = np.zeros(0)
    around = Neighbours(np.zeros(0, np.int64), none, none, none, none, none)
    light, good, _ = cut_stars((_IMAGE, 0 * _IMAGE, _MASK), 0, (_PLACE, _PLACE), around, (3.0, 3.0), 3.0)
    stamps = Stamps(light, good, np.ones((1, 1)), np.ones(1), np.array([[1.0, 3.0, 3.0, 0.0]]))
    solved = solve(stamps, cube, legendre_basis(0), Grid(1.0, 1.0), (1.0, 0.0), reach=3.0, smooth=1.0)
    # A star that is the model itself leaves nothing to solve for.
    direction = np.ones((1, samples_across(3.0, 1.0), samples_across(3.0, 1.0)), dtype=np.float32)
    apply_normal(stamps, solved.linear, solved.used, direction, np.zeros(direction.shape))


def _sums() -> None:
    for words in (np.zeros(4, dtype="<u4"), np.frombuffer(bytes(16), dtype="<u4")):
        word_sum(words)


KERNELS: tuple[tuple[str, Callable[[], object]], ...] = (
    ("sources", _sources),
    ("overscan", lambda: overscan_rows(_IMAGE)),
    ("detrend", _detrend),
    ("crosstalk", _crosstalk),
    ("bleeding", lambda: mark_bleeding(_MASK.copy(), np.arange(8), 1, 2)),
    ("interpolate", _interpolate),
    ("combine", _combine),
    ("stack", _stack),
    ("cell means", lambda: cell_means(_IMAGE, _MASK, bad_bits=0, box=(4, 4))),
    ("binning", lambda: bin_mean(_IMAGE, _MASK, bad_bits=0, step=4)),
    ("seeing", lambda: star_widths(_IMAGE, 0 * _IMAGE, _IMAGE, _MASK)),
    ("apertures", lambda: circular_photometry(_IMAGE, _IMAGE, _PLACE, _PLACE, _PLACE, _MASK)),
    ("Moffat profiles", lambda: fit_moffats(_IMAGE, _IMAGE, _PLACE, _PLACE, _PLACE, _PLACE, _MASK)),
    ("sky noise", lambda: sky_noise(_IMAGE, _IMAGE, _IMAGE, _MASK, np.zeros((4, 1)))),
    ("robust statistics", lambda: robust_statistics(_IMAGE, _MASK)),
    ("pixel to sky", lambda: pixel_to_sky(_WCS, _PLACE, _PLACE)),
    ("pixel to plane", lambda: pixel_to_plane(_WCS, _PLACE, _PLACE)),
    ("sky to pixel", lambda: sky_to_pixel(_WCS, _PLACE, _PLACE)),
    ("tangent projection", lambda: tangent_project(_PLACE, _PLACE, 0.0, 0.0)),
    ("tangent deprojection", lambda: tangent_deproject(_PLACE, _PLACE, 0.0, 0.0)),
    ("PSF models", _psf),
    ("point sources", _point_sources),
    ("Rice coding", _rice),
    ("checksum", _sums),
    *DRAWING,
    ("trails", _trails),
    ("cosmic rays", _cosmics),
    ("background", _background),
)
"""Name and call of every compiled front door; a new kernel adds its own line.

What takes longest to compile stands at both ends, for two processes that come from either."""


def _dispatchers() -> Iterator[Dispatcher]:
    """Every compiled function of the room's modules that are loaded, once: this one loads those of all kernels."""
    seen = set()
    for name in sorted(name for name in sys.modules if name.startswith("spica.kernels.")):
        for value in vars(sys.modules[name]).values():
            if isinstance(value, Dispatcher) and value not in seen:
                seen.add(value)
                yield value


def _made_of(stem: str, folder: Path, known: dict[str, frozenset[str]]) -> frozenset[str]:
    """Names of the modules of a folder that one is made of: itself and what it imports from this room, to the end."""
    if stem in known:
        return known[stem]
    # Ends a circle of imports, of which there is none that works.
    known[stem] = frozenset()
    found = {stem}
    for module, names in _IMPORTS.findall((folder / f"{stem}.py").read_text(encoding="utf-8")):
        for name in [module] if module else re.findall(r"\w+", names):
            if (folder / f"{name}.py").exists():
                found |= _made_of(name, folder, known)
    known[stem] = frozenset(found)
    return known[stem]


def forget_stale() -> int:
    """Take from the cache what is older than a source file that it was made of; return how many functions that were.

    numba renews the cache of a function when its own file changes, but not when another file does from which it calls
    a function that was compiled into it. Who edits a kernel would otherwise go on running the old one.
    """
    places = {
        (Path(function.stats.cache_path), Path(function.py_func.__code__.co_filename))
        for function in _dispatchers()
        if function.stats.cache_path is not None
    }
    known: dict[str, frozenset[str]] = {}
    removed = 0
    for cache, source in places:
        sources = (source.with_name(f"{stem}.py") for stem in _made_of(source.stem, source.parent, known))
        newest = max(path.stat().st_mtime for path in sources)
        # The folder is numba's, which makes it when the first function is compiled.
        for index in cache.glob(f"{source.stem}.*.nbi"):
            try:
                if index.stat().st_mtime < newest:
                    index.unlink()
                    removed += 1
            except FileNotFoundError:
                # Another process that warms at the same moment was quicker.
                removed += 1
    return removed


def compile_backwards() -> None:
    """Compile or load every kernel, the last first."""
    with _without_collector():
        for _, call in reversed(KERNELS):
            call()


@contextmanager
def _without_collector() -> Iterator[None]:
    """Python's collector of garbage at rest: it walks all that the compiler holds again and again, a fourteenth of its time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def _company() -> Iterator[None]:
    """On a machine of several cores, another process that compiles the kernels from the other end meanwhile.

    What it has compiled is loaded here from the cache, where numba puts each function in one step. Without a cache that
    both can write, it helps nobody and harms nobody.
    """
    if len(os.sched_getaffinity(0)) < 2:
        yield
        return
    command = "from spica.kernels.warm import compile_backwards; compile_backwards()"
    with subprocess.Popen(  # noqa: S603 - this very Python
        [sys.executable, "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as other:
        try:
            yield
        finally:
            other.kill()


def _all_cached() -> bool:
    """Whether the cache holds every function that is loaded here, of a source that has not changed since."""
    if forget_stale() > 0:
        return False
    functions = list(_dispatchers())
    folders = {function.stats.cache_path for function in functions}
    held = {path.name.partition("-")[0] for folder in folders if folder for path in Path(folder).glob("*.nbi")}
    return {
        f"{Path(function.py_func.__code__.co_filename).stem}.{function.py_func.__qualname__}" for function in functions
    } <= held


def compile_all(progress: Callable[[int, int, str], None] | None = None) -> float:
    """Compile every kernel that the cache does not hold, and load the others.

    Parameters
    ----------
    progress : callable, optional
        Called before each kernel with its number from 1, the number of all, and its name.

    Returns
    -------
    float [second]
        Wall time: up to some tens of seconds the first time, below one second afterwards.
    """
    began = time.perf_counter()
    with nullcontext() if _all_cached() else _company(), _without_collector():
        for number, (name, call) in enumerate(KERNELS, start=1):
            if progress is not None:
                progress(number, len(KERNELS), name)
            call()
    return time.perf_counter() - began

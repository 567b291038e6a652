"""Skies of exposures made to agree where they overlap, so that light wider than the cells of a sky mesh stays in the stack.

Each exposure's detector loses one level, and what its overlaps ask for beside it: a constant, a slope or a curved plane (as Montage's and the
Rubin pipelines' background matching do). Differences in cells of the tile tell it, in which sources have no part: they are in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.core.mask import Mask
from spica.core.task import Measured
from spica.kernels.resample_way import CHUNK, Way
from spica.kernels.robust import MAD_TO_SIGMA
from spica.tasks.stack.inputs import Canvas, Input

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
_FULL = 0.25
"""Part of a cell's pixels that have to be good."""
_SIDE = 32
"""Pixels along a cell whose median is taken."""
_CLIP, _ROUNDS = 4.0, 8
"""A level so many times the scatter off is left out, in so many rounds: a trail, a wing of another seeing."""
_WEAK = 1e-10
"""Part of the largest weight that holds to zero what overlaps leave open: the common level, exposures that nothing overlaps."""
_TOGETHER = 256
"""Cells whose pairs of inputs are summed at a time."""


class Levels(NamedTuple):
    """Levels of inputs in the cells that they cover, by cell: ``own`` the input, ``cell``, ``level``, ``weight``, (entries,) each."""

    own: Ints
    cell: Ints
    level: Floats
    weight: Floats

    def only(self, which: npt.NDArray[np.bool_]) -> Levels:
        """Some of them."""
        return Levels(self.own[which], self.cell[which], self.level[which], self.weight[which])


def matched(order: int, canvas: Canvas, used: list[Input]) -> tuple[list[Input], Mapping[str, Measured]]:
    """The inputs with what is taken off each made to agree with the others', and how well that went.

    Parameters
    ----------
    order : of the polynomial of the place in the tile that an input may differ by: 0 a constant.

    Returns
    -------
    inputs : as `used`, with `path.nodes[3]` changed. The mean of all corrections of a term is 0.
    metrics : inputs that overlaps tie, largest correction of a level, scatter of the cells about the answer in units of their noise.

    Raises
    ------
    DataFault
        ``stack.input`` where one cannot be read.
    """
    middles = np.stack(np.meshgrid(*(np.arange(-(-size // CHUNK)) for size in canvas.shape[::-1])), axis=-1)
    places = np.asarray(CHUNK * (middles.reshape(-1, 2) + 0.5) - 0.5, np.float64)
    seen = together([_levels(each, places) for each in used])
    terms = _terms(order, canvas, *places.T)
    answer, scatter = agree(seen, len(used), terms)
    made = [
        replace(each, path=each.path._replace(nodes=_with(each, canvas, order, own)))
        for each, own in zip(used, answer, strict=True)
    ]
    shared = np.bincount(seen.cell, minlength=len(places))[seen.cell] > 1
    tied = np.unique(seen.own[shared]).size
    return made, {
        "stack_match_tied": Measured(float(tied)),
        "stack_match_largest": Measured(float(np.abs(answer[:, 0]).max())),
        "stack_match_scatter": Measured(scatter),
    }


def _terms(order: int, canvas: Canvas, x: Floats, y: Floats) -> Floats:
    """Powers of the place in the tile, from -1 to 1 along its longer side, (n, terms)."""
    half = 0.5 * max(canvas.shape)
    u, v = x / half - canvas.shape[1] / (2.0 * half), y / half - canvas.shape[0] / (2.0 * half)
    return np.stack([u ** (total - j) * v**j for total in range(order + 1) for j in range(total + 1)], axis=-1)


def _levels(each: Input, places: Floats) -> tuple[Ints, Floats, Floats]:
    """Cells of the tile that an input covers, its level there, less what is taken off already, in units of the stack, and its weight."""
    at = _between(each.path, places)
    half = 0.5 * CHUNK * np.sqrt(np.maximum(at[:, 2], 0.0))
    ny, nx = each.rows.shape
    inside = (at[:, 0] - half >= 0) & (at[:, 0] + half <= nx - 1) & (at[:, 1] - half >= 0) & (at[:, 1] + half <= ny - 1)
    cells = np.flatnonzero(inside).astype(np.int32)
    level, weight = np.zeros(cells.size), np.zeros(cells.size)
    if not cells.size:
        return cells, level, weight
    pixels = _pixels(each)
    for k, n in enumerate(cells):
        low_x, high_x, low_y, high_y = (round(at[n, axis] + side * half[n]) for axis in (0, 1) for side in (-1.0, 1.0))
        step = max(int(2.0 * half[n]) // _SIDE, 1)
        cell = pixels[low_y : high_y + 1 : step, low_x : high_x + 1 : step]
        good = cell[np.isfinite(cell)]
        if good.size >= max(_FULL * cell.size, 1.0):
            level[k] = (float(np.median(good)) - at[n, 3]) * at[n, 2] * each.facts.scale
            # A median's variance is π/2 of a mean's.
            weight[k] = each.facts.weight * good.size * 2.0 / np.pi
    known = weight > 0.0
    return cells[known], level[known], weight[known]


def together(levels: list[tuple[Ints, Floats, Floats]]) -> Levels:
    """Those of all inputs, cell by cell, in each by the inputs' order."""
    own = np.concatenate([np.full(cells.size, n, np.int32) for n, (cells, _, _) in enumerate(levels)])
    cell, level, weight = (np.concatenate([each[k] for each in levels]) for k in range(3))
    order = np.argsort(cell, kind="stable")
    return Levels(own[order], np.asarray(cell[order], np.int32), level[order], weight[order])


def _pixels(each: Input) -> npt.NDArray[np.float32]:
    """All pixels of an input, NaN where one is of no use: of one input at a time."""
    try:
        pixels = np.array(each.rows.read(0, each.rows.shape[0], "science"), np.float32)
        try:
            mask = np.asarray(each.rows.read(0, each.rows.shape[0], "mask"), np.int32)
        except KeyError:
            return pixels
    except (DataFault, OSError) as error:
        raise DataFault("stack.input", f"{each.unit} cannot be read: {error}", unit=each.unit) from error
    pixels[mask & int(Mask.unusable()) != 0] = np.nan
    return pixels


def _between(path: Way, places: Floats) -> Floats:
    """What the nodes of a way say at places of the tile, (n, 4), linearly between; far outside where there is nothing."""
    gy, gx = path.nodes.shape[1:]
    i, j = (places[:, 0] - path.x0) / path.step, (places[:, 1] - path.y0) / path.step
    out = (i < 0) | (i > gx - 1) | (j < 0) | (j > gy - 1)
    i0, j0 = np.clip(i.astype(int), 0, gx - 2), np.clip(j.astype(int), 0, gy - 2)
    di, dj = i - i0, j - j0
    nodes = path.nodes
    upper = nodes[:, j0, i0] * (1.0 - di) + nodes[:, j0, i0 + 1] * di
    lower = nodes[:, j0 + 1, i0] * (1.0 - di) + nodes[:, j0 + 1, i0 + 1] * di
    made = (upper * (1.0 - dj) + lower * dj).T
    made[out] = -1e9
    return np.asarray(made)


def agree(seen: Levels, number: int, terms: Floats) -> tuple[Floats, float]:
    """Corrections (inputs, terms) by which the levels of `number` inputs agree best, and their scatter in units of the noise."""
    cells, count = terms.shape
    answer, scatter = np.zeros((number, count)), 0.0
    for _ in range(_ROUNDS):
        seen = seen.only(np.bincount(seen.cell, minlength=cells)[seen.cell] > 1)
        if not seen.own.size:
            break
        total = np.bincount(seen.cell, seen.weight, cells).astype(np.float64)
        pull = seen.weight * _off_mean(seen.level, seen, total)
        gradient = np.stack([np.bincount(seen.own, pull * terms[seen.cell, t], number) for t in range(count)], axis=1)
        matrix = _normal(seen, total, terms, number)
        matrix[np.diag_indices_from(matrix)] += _WEAK * matrix.diagonal().max()
        solved = np.asarray(np.linalg.solve(matrix, gradient.ravel()), np.float64)
        answer = solved.reshape(number, count)
        left = seen.level.copy()
        for t in range(count):
            left = left - answer[seen.own, t] * terms[seen.cell, t]
        off = np.abs(_off_mean(left, seen, total) * np.sqrt(seen.weight))
        scatter = MAD_TO_SIGMA * float(np.median(off))
        kept = off <= _CLIP * max(scatter, 1.0)
        if kept.all():
            break
        seen = seen.only(kept)
    return answer, scatter


def _off_mean(level: Floats, seen: Levels, total: Floats) -> Floats:
    """Levels less the mean of their cell by weight."""
    whole = np.bincount(seen.cell, seen.weight * level, total.size)
    mean = np.divide(whole, total, out=np.zeros_like(total), where=total > 0.0)
    return np.asarray(level - mean[seen.cell])


def _normal(seen: Levels, total: Floats, terms: Floats, number: int) -> Floats:
    """The normal equations of all corrections, (inputs · terms, inputs · terms), from the pairs that share a cell."""
    count, weight = terms.shape[1], seen.weight
    matrix = np.zeros((number * count, number * count))
    first = np.arange(number) * count
    for t in range(count):
        for s in range(count):
            product = weight * terms[seen.cell, t] * terms[seen.cell, s]
            matrix[first + t, first + s] = np.bincount(seen.own, product, number)
    # The cells are in order: those of a band lie together, and few inputs have a part in them.
    edges = np.searchsorted(seen.cell, np.arange(0, terms.shape[0] + _TOGETHER, _TOGETHER))
    for band, (begin, end) in enumerate(pairwise(edges.tolist())):
        if begin == end:
            continue
        cell = seen.cell[begin:end]
        inputs, row = np.unique(seen.own[begin:end], return_inverse=True)
        share = np.zeros((inputs.size, count, _TOGETHER))
        scaled = weight[begin:end] / np.sqrt(total[cell])
        share[row, :, cell - band * _TOGETHER] = scaled[:, None] * terms[cell]
        flat = share.reshape(inputs.size * count, _TOGETHER)
        which = (first[inputs][:, None] + np.arange(count)).ravel()
        matrix[np.ix_(which, which)] -= flat @ flat.T
    return matrix


def _with(each: Input, canvas: Canvas, order: int, own: Floats) -> Floats:
    """Nodes of an input with its correction beside what is taken off."""
    path, nodes = each.path, each.path.nodes.copy()
    gy, gx = nodes.shape[1:]
    x, y = np.meshgrid(path.x0 + path.step * np.arange(gx), path.y0 + path.step * np.arange(gy))
    more = (_terms(order, canvas, x.ravel().astype(float), y.ravel().astype(float)) @ own).reshape(gy, gx)
    there = nodes[2] > 0.0
    nodes[3, there] += more[there] / (each.facts.scale * nodes[2, there])
    return nodes

"""The search for a second point in what the fit of one leaves of a source."""

import numpy as np

from spica.kernels.compiled import Float32, Float64, compiled


@compiled
def brightest_point(
    weighted: Float32, weight: Float32, points: Float32, near: float, far: float, best: Float64
) -> None:
    """Fill `best` (4, k) with signal-to-noise, place from the stamp's middle, and light of the most significant point.

    `points`: profiles of unit light, squares about their middles; sought from `near` to `far` [pixel].
    """
    middle, core, reach = weighted.shape[1] // 2, points.shape[1] // 2, int(far)
    for k in range(weighted.shape[0]):
        for v in range(-reach, reach + 1):
            for u in range(-reach, reach + 1):
                if not near * near <= u * u + v * v <= far * far:
                    continue
                light = square = 0.0
                x = middle + u - core
                for j in range(2 * core + 1):
                    y = middle + v - core + j
                    for i in range(2 * core + 1):
                        point = points[k, j, i]
                        light += weighted[k, y, x + i] * point
                        square += weight[k, y, x + i] * point * point
                square = max(square, 1e-30)
                if light > best[0, k] * np.sqrt(square):
                    best[0, k], best[1, k], best[2, k], best[3, k] = light / np.sqrt(square), u, v, light / square

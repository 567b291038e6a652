"""Small positive definite systems of equations, in place and without allocation."""

import numpy as np

from spica.kernels.compiled import Float64, inner


@inner
def factorise(matrix: Float64, damping: float, size: int, lower: Float64) -> bool:
    """Cholesky factor of M + λ diag M in the first `size` rows; False where that is not positive definite.

    Only the lower triangle of `matrix` is read.
    """
    for m in range(size):
        for n in range(m + 1):
            value = matrix[m, n] * (1.0 + damping) if m == n else matrix[m, n]
            for k in range(n):
                value -= lower[m, k] * lower[n, k]
            if m == n:
                if not value > 0.0:
                    return False
                lower[m, m] = np.sqrt(value)
            else:
                lower[m, n] = value / lower[n, n]
    return True


@inner
def substitute(lower: Float64, size: int, vector: Float64, x: Float64) -> None:
    """Solve L Lᵀ x = vector in the first `size` rows."""
    for m in range(size):
        value = vector[m]
        for k in range(m):
            value -= lower[m, k] * x[k]
        x[m] = value / lower[m, m]
    for m in range(size - 1, -1, -1):
        value = x[m]
        for k in range(m + 1, size):
            value -= lower[k, m] * x[k]
        x[m] = value / lower[m, m]

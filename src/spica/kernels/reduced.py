"""Least squares with very many nuisance parameters: reduced normal equations in blocks.

Each measurement belongs to a group whose true value is unknown, and depends on a block of shared parameters (the
distortion of a detector, say) and a block of own parameters (the pointing of an exposure). The true values are
eliminated group by group as the equations are summed (Brown 1958; Triggs et al. 2000, section 6), so that they are never
held. What remains: a dense block of the shared parameters, a sparse one of the own parameters (two exposures meet where
they see a source together), and a dense border. The own parameters are eliminated by a sparse factorisation, the shared
ones solved by Cholesky's.

Memory for E exposures of k parameters, each overlapping with v others, and s shared ones: 16 bytes · (s² + 2·s·k·E + k²·v·E).
"""

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import coo_array, csc_array, csr_array, diags_array
from scipy.sparse.linalg import splu

from spica.kernels.compiled import Float64, Int64

Values = npt.NDArray[Any]
"""float64, or complex128 where a measurement is a place in a plane."""
_HEAP = 1 << 18
"""Elements that wait to be added, at least."""


class Rows(NamedTuple):
    """Measurements, ordered by group.

    Attributes
    ----------
    group : (n,) from 0 without gaps.
    weight : (n,) inverse variance.
    residual : (n,) measured minus assumed.
    pattern : (n,) which columns the measurement depends on: those of an image, as a rule.
    shared_at, own_at : (patterns, K), (patterns, L) columns of the shared and own parameters; none twice in a row.
    shared, own : (n, K), (n, L) derivatives.
    """

    group: Int64
    weight: Float64
    residual: Values
    pattern: Int64
    shared_at: Int64
    own_at: Int64
    shared: Values
    own: Values


@dataclass
class Normal:
    """Sums of the normal equations; `bs` and `be` are their right-hand sides."""

    ss: Values
    se: Values
    ee: Any
    bs: Values
    be: Values
    pending: list[Any] = field(default_factory=list)
    """Parts of `ee` that are still to be added: adding each by itself would cost its whole size every time."""

    @classmethod
    def empty(cls, shared: int, own: int, kind: type) -> "Normal":
        """No equations yet, for so many parameters."""
        return cls(
            np.zeros((shared, shared), kind),
            np.zeros((shared, own), kind),
            csr_array((own, own), dtype=kind),
            np.zeros(shared, kind),
            np.zeros(own, kind),
        )

    def add(self, rows: Rows, total: Float64, mean: Values) -> None:
        """Add measurements.

        Parameters
        ----------
        total : (groups,) weight of all that is measured of each group, also of what depends on no parameter.
        mean : (groups,) weighted mean of the residuals of the same.
        """
        if rows.group.size == 0:
            return
        self._add_measured(rows, mean)
        count = rows.group.size
        gather = csr_array(
            (rows.weight, np.arange(count), np.searchsorted(rows.group, np.arange(total.size + 1))),
            (total.size, count),
        )
        shared_sum = gather @ _matrix(rows.shared_at[rows.pattern], rows.shared, self.bs.size)
        own_sum = gather @ _matrix(rows.own_at[rows.pattern], rows.own, self.be.size)
        level = diags_array(1.0 / total)
        shared_out, own_out = ((level @ each).conj().T.tocsr() for each in (shared_sum, own_sum))
        _spread(self.ss, shared_out @ shared_sum)
        _spread(self.se, shared_out @ own_sum)
        self._put(-(own_out @ own_sum))

    def _put(self, part: csr_array) -> None:
        """Add to `ee`, in heaps as large as what is there already."""
        self.pending.append(part)
        if sum(each.nnz for each in self.pending) > max(self.ee.nnz, _HEAP):
            self.settle()

    def settle(self) -> None:
        """Add to `ee` what is pending."""
        if self.pending:
            parts = [self.ee, *self.pending]
            self.pending.clear()
            while len(parts) > 1:
                parts = [sum(parts[at + 1 : at + 2], parts[at]) for at in range(0, len(parts), 2)]
            self.ee = parts[0]

    def _add_measured(self, rows: Rows, mean: Values) -> None:
        """The part that does not know of the groups' unknown values: dense blocks, one for each set of columns."""
        order = np.argsort(rows.pattern, kind="stable")
        pattern = rows.pattern[order]
        bounds = np.flatnonzero(np.diff(pattern, prepend=-1, append=rows.shared_at.shape[0]))
        wide = rows.shared.shape[1]
        # In the order of their columns, so that each block is a run of rows.
        both = np.concatenate([rows.shared, rows.own], axis=1)[order]
        heavy = rows.weight[order, None] * both
        turned, clean = both.conj().T, rows.weight * (rows.residual - mean[rows.group])
        clean = clean[order]
        places, blocks = [], []
        for begin, end in pairwise(bounds.tolist()):
            shared_at, own_at = (at[pattern[begin]] for at in (rows.shared_at, rows.own_at))
            there, own = _run(shared_at), _run(own_at)
            square = turned[:, begin:end] @ heavy[begin:end]
            right = turned[:, begin:end] @ clean[begin:end]
            if isinstance(there, slice):
                self.ss[there, there] += square[:wide, :wide]
            else:
                self.ss[there[:, None], there] += square[:wide, :wide]
            self.se[there if isinstance(own, slice) else shared_at[:, None], own] += square[:wide, wide:]
            self.bs[there] -= right[:wide]
            self.be[own] -= right[wide:]
            places.append(own_at)
            blocks.append(square[wide:, wide:].ravel())
        at = np.array(places)
        row, column = np.repeat(at, at.shape[1], axis=1).ravel(), np.tile(at, (1, at.shape[1])).ravel()
        self._put(coo_array((np.concatenate(blocks), (row, column)), self.ee.shape).tocsr())

    def hold(self, shared: Float64, own: Float64) -> None:
        """Add a prior of value 0: inverse variances of all parameters."""
        self.ss[np.diag_indices(self.bs.size)] += shared
        self._put(csr_array(diags_array(own, dtype=self.be.dtype)))

    def bind(self, direction: Values, weight: float) -> None:
        """Add the condition that the product of the shared parameters with a direction is 0."""
        self.ss += weight * np.outer(direction.conj(), direction)


def _run(at: Int64) -> slice | Int64:
    """Columns as a slice where they follow each other: that is quicker."""
    if at.size and at[-1] - at[0] == at.size - 1 and (at.size < 2 or at[1] == at[0] + 1):
        return slice(int(at[0]), int(at[-1]) + 1)
    return at


def _matrix(at: Int64, values: Values, columns: int) -> csr_array:
    count, width = values.shape
    return csr_array((values.ravel(), at.ravel(), width * np.arange(count + 1)), (count, columns))


def block(first: Int64, width: int) -> Int64:
    """Columns (n, width) of blocks that begin at `first` (n,)."""
    return np.asarray(first[:, None] + np.arange(width), np.int64)


def _spread(target: Values, part: csr_array) -> None:
    """Take a sparse matrix from a dense one."""
    row = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
    target[row, part.indices] -= part.data


@dataclass(frozen=True)
class Solved:
    """Solution of normal equations.

    Attributes
    ----------
    shared, own : the parameters.
    carried : (e, s) how own parameters follow the shared ones: own = rest - carried · shared.
    """

    shared: Values
    own: Values
    carried: Values
    _factor: Any
    _upper: Any

    @cached_property
    def inverse(self) -> Values:
        """Covariance (s, s) of the shared parameters, for weights that are inverse variances."""
        return np.asarray(cho_solve(self._upper, np.eye(self.shared.size, dtype=self.shared.dtype)))

    def own_alone(self, at: Int64) -> Values:
        """Covariance of some own parameters were the shared ones known."""
        unit = np.zeros((self.own.size, at.size), self.own.dtype)
        unit[at, np.arange(at.size)] = 1.0
        return np.asarray(self._factor.solve(unit)[at])

    def variance(
        self, shared_at: Int64, shared: Values, own_at: Int64, own: Values, alone: Values | None = None
    ) -> Float64:
        """Variance of predictions (n,): derivatives `shared` (n, K) and `own` (n, L) by parameters in these columns.

        `alone` is `own_alone(own_at)` where that is known: it costs a solution of the whole.
        """
        alone = self.own_alone(own_at) if alone is None else alone
        follow = -own @ self.carried[own_at]
        follow[:, shared_at] += shared
        by_shared = np.sum((follow @ self.inverse) * follow.conj(), axis=1)
        by_own = np.sum((own @ alone) * own.conj(), axis=1)
        return np.asarray((by_shared + by_own).real, np.float64)


def solve(normal: Normal) -> Solved:
    """Solve normal equations.

    Raises
    ------
    numpy.linalg.LinAlgError, RuntimeError
        The equations do not fix all parameters.
    """
    normal.settle()
    ee = csc_array(normal.ee)
    factor = splu(ee, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    carried = factor.solve(np.ascontiguousarray(normal.se.conj().T))
    rest = factor.solve(normal.be)
    reduced = normal.ss - normal.se @ carried
    reduced = 0.5 * (reduced + reduced.conj().T)
    upper = cho_factor(reduced)
    shared = cho_solve(upper, normal.bs - normal.se @ rest)
    return Solved(shared, rest - carried @ shared, carried, factor, upper)

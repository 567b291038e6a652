"""A model of the point spread function: images of samples, one for each term of its variation over the detector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.columns import Catalogue, Column
from spica.core.faults import DataFault
from spica.core.records import Scalar

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

_COEFFICIENTS = "coefficients"
_ERRORS = "errors"
_PREFIX = "PSF_"
"""Of the cards that hold what describes a model beyond its own fields."""


def polynomial_terms(degree: int) -> tuple[tuple[int, int], ...]:
    """Powers (i, j) of u and v of each term, total degree at most `degree`, u fastest: 1, u, u², v, u v, v²."""
    return tuple((i, j) for j in range(degree + 1) for i in range(degree + 1 - j))


@dataclass(frozen=True, eq=False)
class PsfModel:
    """An effective point spread function (the pixel's response included) as function of place.

    The model at (x, y) is ``Σ_k value_k · coefficients[k]``: a square of samples `sampling` detector pixels apart, whose
    middle sample is the source's centre. Each sample is the part of the light that a detector pixel centred there receives; between samples the
    quintic of `spica.kernels.psf_model` interpolates. So a stamp on detector pixels sums to 1 wherever the source lies, and the
    samples to ``1 / sampling²``.

    The first terms are polynomials in ``u = (x - centre[0]) / scale[0]``, ``v = (y - centre[1]) / scale[1]`` (Bertin
    2011, ASP Conf. 442, 435, and in PSFEx's order). Further linear terms may follow, named in `others`: the model is then
    ``Σ_polynomials + Σ_m other_m(source) · coefficients[terms + m]``, with values that belong to a source (its colour minus
    that of the mean star, that times u, ...). A source whose value is not known has 0: the PSF of the mean star.

    Attributes
    ----------
    coefficients : ``(terms + others, n, n)`` float32, n odd.
    degree : of the polynomial.
    centre, scale : two floats each [pixel, 0-based].
    sampling : detector pixels per sample, at most 1 where the model resolves more than the pixels do.
    fwhm : full width at half maximum in the middle of the domain [pixel].
    chi2 : per degree of freedom of the stars that were fitted.
    stars : how many were.
    errors : standard errors of `coefficients`, or None.
    others : names of the linear terms beyond the polynomial.
    facts : what else describes it (how it was made, held-out residuals), plain scalars.
    """

    coefficients: Float32
    degree: int
    centre: tuple[float, float]
    scale: tuple[float, float]
    sampling: float
    fwhm: float
    chi2: float = float("nan")
    stars: int = 0
    errors: Float32 | None = None
    others: tuple[str, ...] = ()
    facts: Mapping[str, Scalar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        terms = len(polynomial_terms(self.degree)) + len(self.others)
        shape = self.coefficients.shape
        if len(shape) != 3 or shape[0] != terms or shape[1] != shape[2] or shape[1] % 2 == 0:
            message = f"coefficients {shape} do not fit degree {self.degree} and {len(self.others)} other terms"
            raise DataFault("data.bad-value", message, degree=self.degree)
        if not (self.sampling > 0 and self.scale[0] > 0 and self.scale[1] > 0):
            raise DataFault("data.bad-value", "sampling and scale of a PSF are positive", sampling=self.sampling)

    @property
    def size(self) -> int:
        """Samples on a side."""
        return int(self.coefficients.shape[1])

    def values(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Float64:
        """Value of each polynomial term at places [pixel], ``(n, terms)``."""
        u = (np.atleast_1d(np.asarray(x, float)) - self.centre[0]) / self.scale[0]
        v = (np.atleast_1d(np.asarray(y, float)) - self.centre[1]) / self.scale[1]
        return np.stack([u**i * v**j for i, j in polynomial_terms(self.degree)], axis=-1)

    def samples(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Float32:
        """The model at places [pixel]: ``(places, n, n)`` samples for a source of mean colour."""
        values = self.values(x, y)
        flat = self.coefficients[: values.shape[1]].reshape(values.shape[1], -1)
        return (values @ flat).astype(np.float32).reshape(-1, self.size, self.size)

    def to_catalogue(self) -> Catalogue:
        """The model as a product: one row per term, what describes it in the header."""
        rows, n = self.coefficients.shape[:2]
        powers = (*polynomial_terms(self.degree), *((-1, -1),) * len(self.others))
        columns: dict[str, npt.NDArray[Any]] = {
            "u_power": np.array([i for i, _ in powers], np.int32),
            "v_power": np.array([j for _, j in powers], np.int32),
            _COEFFICIENTS: np.ascontiguousarray(self.coefficients.reshape(rows, n * n)),
        }
        if self.errors is not None:
            columns[_ERRORS] = np.ascontiguousarray(self.errors.reshape(rows, n * n))
        header: dict[str, Scalar] = {
            "PSFDEG": self.degree,
            "PSFX0": float(self.centre[0]),
            "PSFY0": float(self.centre[1]),
            "PSFXS": float(self.scale[0]),
            "PSFYS": float(self.scale[1]),
            "PSFSAMP": float(self.sampling),
            "PSFFWHM": float(self.fwhm),
            "PSFCHI2": float(self.chi2),
            "PSFSTARS": int(self.stars),
            "PSFOTHER": ",".join(self.others),
        }
        header |= {f"{_PREFIX}{name}": value for name, value in self.facts.items()}
        return Catalogue(columns, header, _declared(n))

    @classmethod
    def from_catalogue(cls, catalogue: Catalogue) -> PsfModel:
        """The model that `to_catalogue` made a product of.

        Raises
        ------
        DataFault
            ``data.bad-value`` where the catalogue is no PSF model.
        """
        header = catalogue.header
        if _COEFFICIENTS not in catalogue.columns or "PSFDEG" not in header:
            raise DataFault("data.bad-value", "the catalogue holds no PSF model", columns=len(catalogue.columns))
        flat = np.asarray(catalogue[_COEFFICIENTS], np.float32)
        n = round(flat.shape[1] ** 0.5)
        errors = None
        if _ERRORS in catalogue.columns:
            errors = np.asarray(catalogue[_ERRORS], np.float32).reshape(-1, n, n)

        def number(card: str) -> float:
            value = header.get(card)
            return float(value) if isinstance(value, int | float) else float("nan")

        return cls(
            coefficients=flat.reshape(-1, n, n),
            degree=int(number("PSFDEG")),
            centre=(number("PSFX0"), number("PSFY0")),
            scale=(number("PSFXS"), number("PSFYS")),
            sampling=number("PSFSAMP"),
            fwhm=number("PSFFWHM"),
            chi2=number("PSFCHI2"),
            stars=int(number("PSFSTARS")),
            errors=errors,
            others=tuple(name for name in str(header.get("PSFOTHER") or "").split(",") if name),
            facts={name[len(_PREFIX) :]: value for name, value in header.items() if name.startswith(_PREFIX)},
        )


def _declared(n: int) -> dict[str, Column]:
    return {
        column.name: column
        for column in (
            Column("u_power", "i4", "", "meta.code", "power of u of the term, -1 for a term that is no polynomial"),
            Column("v_power", "i4", "", "meta.code", "power of v of the term, -1 for a term that is no polynomial"),
            Column(_COEFFICIENTS, "f4", "", "instr.det.psf", "samples of the term, row by row", n * n),
            Column(_ERRORS, "f4", "", "stat.error;instr.det.psf", "standard errors of the samples", n * n),
        )
    }


def width_and_domain(header: Mapping[str, Scalar]) -> tuple[float, tuple[float, float], tuple[float, float]]:
    """Of a model's product without its samples: `fwhm`, `centre` and `scale` of the model [pixel].

    Raises
    ------
    DataFault
        ``data.bad-value`` where the header is that of no PSF model.
    """
    told = [header.get(card) for card in ("PSFFWHM", "PSFX0", "PSFY0", "PSFXS", "PSFYS")]
    numbers = [float(each) for each in told if isinstance(each, int | float)]
    if len(numbers) != len(told):
        raise DataFault("data.bad-value", "the catalogue holds no PSF model", cards=len(numbers))
    fwhm, x, y, wide, high = numbers
    return fwhm, (x, y), (wide, high)

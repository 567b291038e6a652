"""Sky solutions of files: shown, and converted among TAN, SIP, TPV, ZPN, TNX and other zenithal forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault, SetupFault
from spica.core.keywords import is_sky
from spica.core.records import Scalar
from spica.files import fits, heads
from spica.files.atomic import writing
from spica.instruments.layout import size as axes_of
from spica.kernels.tangent import tangent_deproject
from spica.kernels.wcs import TangentWcs, pixel_to_plane, tangent_wcs
from spica.kernels.wcs_cards import from_cards, to_cards
from spica.kernels.wcs_convert import HIGHEST, PolynomialMap, fitted_map, polynomial_of, residual, to_sip, to_tpv
from spica.kernels.wcs_zenithal import zenithal

Float64 = npt.NDArray[np.float64]
FORMS = ("tpv", "sip", "tan")
_SIP_HIGHEST = 9
_GRID = 33
_KEPT = ("EQUINOX", "FLXSCALE", "MAGZEROP", "PHOTIRMS", "PHOTINST", "PHOTLINK")


@dataclass(frozen=True)
class Shown:
    """The solution of one HDU: form, centre of the image, pixel scale [arcsec], angle of +y east of north [degree]."""

    hdu: int
    name: str
    form: str
    frame: str
    ra: float | None
    dec: float | None
    scale: float | None
    rotation: float | None
    mirrored: bool | None
    degree: int | None
    problem: str = ""


@dataclass(frozen=True)
class Converted:
    """What became of one HDU: forms, whether exact, the largest difference over the image [mas] (None: its size is unknown)."""

    hdu: int
    name: str
    old: str
    new: str
    exact: bool
    degree: int
    residual: float | None


@dataclass(frozen=True, eq=False)
class _Solution:
    """A solution as read: its map where it is a polynomial, and places in the tangent plane anyhow."""

    crval: Float64
    crpix: Float64
    wcs: TangentWcs | None
    polynomial: PolynomialMap | None
    cards: Mapping[str, Scalar]

    def plane(self, x: Float64, y: Float64) -> tuple[Float64, Float64]:
        """Tangent-plane coordinates [degree] of pixels."""
        return pixel_to_plane(self.wcs, x, y) if self.wcs is not None else zenithal(self.cards).plane(x, y)


def _read(path: Path) -> list[tuple[int, str, dict[str, Scalar]]]:
    """Number, name and cards of everything that may hold a solution."""
    if path.suffix in heads.SUFFIXES:
        return [(number, "", block) for number, block in enumerate(heads.read_heads(path))]
    hdus = fits.layout(fits.open_bytes(path), path)
    return [(hdu.index, hdu.name, hdu.header) for hdu in hdus if "CTYPE1" in hdu.header]


def _solution(cards: Mapping[str, Scalar]) -> _Solution:
    """Read a solution; ValueError where it is of no known form."""
    given = dict(cards)
    for axis in (1, 2):
        if str(given.get(f"CUNIT{axis}", "deg")).lower() in {"degree", "degrees"}:
            given[f"CUNIT{axis}"] = "deg"
    code = str(given.get("CTYPE1", ""))[5:8]
    if code in {"TAN", "TPV"}:
        wcs = from_cards(given)
        return _Solution(wcs.crval, wcs.crpix, wcs, polynomial_of(wcs), given)
    other = zenithal(given)
    return _Solution(other.crval, other.crpix, None, other.polynomial(), given)


def _form(cards: Mapping[str, Scalar]) -> str:
    """The form's name as the header has it; a TAN with a PV polynomial is SCAMP's."""
    code = str(cards.get("CTYPE1", ""))[5:].strip() or "none"
    return "TAN with PV" if code == "TAN" and any(f"PV{axis}_{k}" in cards for axis in (1, 2) for k in (5, 7)) else code


def _frame(cards: Mapping[str, Scalar]) -> str:
    """RADESYS, or what the standard takes for it where it is not told."""
    told, equinox = cards.get("RADESYS") or cards.get("RADECSYS"), cards.get("EQUINOX")
    if told or not isinstance(equinox, int | float):
        return str(told or "ICRS")
    return "FK5" if equinox >= 1984.0 else "FK4"


def _size(cards: Mapping[str, Scalar]) -> tuple[int, int] | None:
    axes = axes_of(cards)
    return (axes[0], axes[1]) if len(axes) >= 2 else None


def show(path: Path) -> list[Shown]:
    """The solution of every HDU that has one, or why it cannot be understood.

    Raises
    ------
    DataFault
        What `spica check` says of a file that is no FITS; ``wcs.none`` where there is no solution at all.
    """
    found = _read(path)
    if not found:
        raise DataFault("wcs.none", f"{path}: no HDU has a sky solution", file=str(path))
    return [_shown(*one) for one in found]


def _shown(number: int, name: str, cards: Mapping[str, Scalar]) -> Shown:
    form, frame = _form(cards), _frame(cards)
    try:
        one = _solution(cards)
    except ValueError as error:
        return Shown(number, name, form, frame, None, None, None, None, None, None, str(error))
    nx, ny = _size(cards) or (0, 0)
    x = np.array([(nx - 1) / 2.0] * 3) if nx else np.repeat(one.crpix[0], 3)
    y = np.array([(ny - 1) / 2.0] * 3) if ny else np.repeat(one.crpix[1], 3)
    steps = np.eye(3)
    xi, eta = one.plane(x + steps[1], y + steps[2])
    ra, dec = tangent_deproject(xi[:1], eta[:1], float(one.crval[0]), float(one.crval[1]))
    jacobian = np.array([[xi[1] - xi[0], xi[2] - xi[0]], [eta[1] - eta[0], eta[2] - eta[0]]])
    turn = float(np.degrees(np.arctan2(jacobian[0, 1], jacobian[1, 1])))
    determinant = float(np.linalg.det(jacobian))
    scale = 3600.0 * float(np.sqrt(abs(determinant)))
    degree = one.polynomial.degree if one.polynomial is not None else None
    return Shown(number, name, form, frame, float(ra[0]), float(dec[0]), scale, turn, determinant > 0, degree)


def convert(
    source: Path, target: Path, to: str, *, tolerance: float = 1.0, size: tuple[int, int] | None = None
) -> list[Converted]:
    """Write a file's solutions in another form: into a `.head` file, or into a copy of the FITS file.

    Parameters
    ----------
    source : FITS file, or SCAMP's .head.
    target : .head, .ahead, or a FITS file.
    to : 'tpv', 'sip' or 'tan'.
    tolerance : greatest difference [mas] over the image where the conversion cannot be exact.
    size : of the image where the file does not tell it, pixels.

    Raises
    ------
    SetupFault
        ``order.invalid``.
    DataFault
        ``wcs.none``, ``wcs.unsupported``, ``wcs.inexact`` with the difference that is left.
    """
    if to not in FORMS:
        raise SetupFault("order.invalid", f"there is no form {to!r}; there are {', '.join(FORMS)}")
    if source.resolve() == target.resolve():
        raise SetupFault("order.invalid", f"{target} is the file that is read: name another one")
    found = _read(source)
    if not found:
        raise DataFault("wcs.none", f"{source}: no HDU has a sky solution", file=str(source))
    made: dict[int, dict[str, Scalar]] = {}
    done: list[Converted] = []
    for number, name, cards in found:
        wcs, what = _converted(source, (number, name, cards), to, (tolerance, size))
        kept: dict[str, Scalar] = {key: cards[key] for key in _KEPT if key in cards}
        made[number] = {**to_cards(wcs), "RADESYS": _frame(cards), **kept}
        done.append(what)
    if target.suffix in heads.SUFFIXES:
        heads.write_heads(target, list(made.values()))
    elif source.suffix in heads.SUFFIXES:
        raise SetupFault("order.invalid", f"a {source.suffix} file has no pixels: {target} has to be a .head or .ahead")
    else:
        _copy(source, target, made)
    return done


def _converted(
    path: Path, hdu: tuple[int, str, Mapping[str, Scalar]], to: str, how: tuple[float, tuple[int, int] | None]
) -> tuple[TangentWcs, Converted]:
    number, name, cards = hdu
    tolerance, given = how
    what = f"{path}[{number}]"
    try:
        one = _solution(cards)
    except ValueError as error:
        raise DataFault("wcs.unsupported", f"{what}: {error}", file=str(path), hdu=number, form=_form(cards)) from error
    size = _size(cards) or given
    wcs = _exactly(one, to)
    if wcs is not None:
        left = None if size is None else _left(one, wcs, size)
        return wcs, Converted(number, name, _form(cards), to.upper(), True, _degree(wcs), left)
    if size is None:
        message = f"{what}: from {_form(cards)} to {to.upper()} needs a fit over the image, whose size is not told"
        raise DataFault("wcs.inexact", message, file=str(path), hdu=number)
    best, left = _nearest(one, to, size, tolerance)
    if not left <= tolerance:
        message = f"{what}: the nearest {to.upper()} differs by {left:.3g} mas somewhere, {tolerance:g} are allowed"
        raise DataFault("wcs.inexact", message, file=str(path), hdu=number, residual_mas=left)
    return best, Converted(number, name, _form(cards), to.upper(), False, _degree(best), left)


def _exactly(one: _Solution, to: str) -> TangentWcs | None:
    """The same solution in another form, None where that cannot be exact."""
    if one.polynomial is None:
        # TPV terms of the radius are no polynomial, but TPV they are.
        return one.wcs if to == "tpv" and one.wcs is not None and not one.wcs.sip_a.size else None
    degree = one.polynomial.degree
    if to == "tan":
        return to_sip(one.polynomial) if degree <= 1 else None
    if degree > (HIGHEST if to == "tpv" else _SIP_HIGHEST):
        return None
    return to_tpv(one.polynomial) if to == "tpv" else to_sip(one.polynomial)


def _nearest(one: _Solution, to: str, size: tuple[int, int], tolerance: float) -> tuple[TangentWcs, float]:
    """The fit of the lowest degree within the tolerance, else the best one, and its residual [mas]."""
    x, y = _grid(size)
    plane = one.plane(x, y)
    if not np.isfinite(plane).all():
        return tangent_wcs(one.crval, one.crpix, np.eye(2)), np.inf
    degrees: Sequence[int] = {"tan": (1,), "tpv": range(2, HIGHEST + 1), "sip": range(2, _SIP_HIGHEST + 1)}[to]
    best: tuple[TangentWcs, float] | None = None
    for degree in degrees:
        fit = fitted_map(one.crval, one.crpix, x, y, plane, degree)
        wcs = to_tpv(fit) if to == "tpv" else to_sip(fit)
        left = 3.6e6 * residual(wcs, x, y, plane)
        if best is None or left < best[1]:
            best = wcs, left
        if left <= tolerance:
            break
    assert best is not None  # noqa: S101 - every form has a degree
    return best


def _left(one: _Solution, wcs: TangentWcs, size: tuple[int, int]) -> float:
    x, y = _grid(size)
    return 3.6e6 * residual(wcs, x, y, one.plane(x, y))


def _grid(size: tuple[int, int]) -> tuple[Float64, Float64]:
    """Pixels all over the image, edges included."""
    x, y = np.meshgrid(*(np.linspace(-0.5, side - 0.5, _GRID) for side in size))
    return x.ravel(), y.ravel()


def _degree(wcs: TangentWcs) -> int:
    found = polynomial_of(wcs)
    return HIGHEST if found is None else found.degree


def _copy(source: Path, target: Path, made: Mapping[int, Mapping[str, Scalar]]) -> None:
    """The file with other solutions; pixels are not touched."""
    from astropy.io import fits as astropy_fits

    with (
        astropy_fits.open(source, disable_image_compression=True, do_not_scale_image_data=True) as hdus,
        writing(target) as part,
    ):
        for number, cards in made.items():
            header = hdus[number].header
            for key in [key for key in header if is_sky(key)]:
                del header[key]
            header.update(cards)
        hdus.writeto(part, output_verify="silentfix", checksum="CHECKSUM" in hdus[0].header)

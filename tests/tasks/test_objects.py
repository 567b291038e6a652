"""Several bands: one detection, light at its places in each, colours of the same part, objects side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy.spatial import cKDTree

from spica.core.columns import Catalogue
from spica.core.faults import DataFault
from spica.core.images import Image
from spica.kernels.projection import Projection
from spica.tasks.detection import DetectionSettings, detection
from spica.tasks.forced import ForcedSettings, forced
from spica.tasks.objects import ObjectsSettings, objects
from tests.support.stacks import Bands, members, three_bands, truth_flux


@dataclass(frozen=True)
class West:
    """A tile that owns what is west of its middle."""

    name: str = "t1"

    def owns(self, ra: npt.ArrayLike, dec: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        return (np.asarray(ra) < 150.0) & np.isfinite(dec)


@pytest.fixture(scope="module")
def seen() -> Bands:
    return three_bands()


def isolated(seen: Bands, *, point: bool) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows of what was detected, and of the truth, of sources that stand alone."""
    sky, found = seen.skies["r"], seen.detection["detected"]
    tree = cKDTree(np.stack([sky.x, sky.y], axis=-1))
    apart, nearest = tree.query(np.stack([found["x"], found["y"]], axis=-1))
    alone = tree.query(tree.data, k=2)[0][:, 1] > 22
    good = (apart < 2) & alone[nearest] & ((sky.size[nearest] == 0) == point)
    return np.flatnonzero(good), nearest[good]


def test_all_bands_find_more_than_any(seen: Bands) -> None:
    assert len(seen.detection["detected"]) > 1.1 * max(len(made["deep_sources"]) for made in seen.made.values())
    one = detection(
        DetectionSettings(bands=("r",)),
        members(seen.images),
        members({band: made["noise"] for band, made in seen.made.items()}),
    )["detected"]
    assert len(one) == pytest.approx(len(seen.made["r"]["deep_sources"]), rel=0.05)
    assert one.header["CHIBANDS"] == "r"


def test_places_are_told_in_every_projection_of_tiles(seen: Bands) -> None:
    sky = Projection("ZEA", np.array([150.0, 2.0]), np.array([300.0, 280.0]), np.diag([-6e-5, 6e-5]))
    own = {key: value for key, value in seen.images["r"].header.items() if key not in sky.cards()}
    image = replace(seen.images["r"], header=own | sky.cards())
    noise = members({"r": seen.made["r"]["noise"]})
    found = detection(DetectionSettings(), members({"r": image}), noise)["detected"]
    np.testing.assert_allclose([found["ra"], found["dec"]], sky.pixel_to_sky(found["x"], found["y"]), atol=1e-9)


def test_light_of_stars_and_their_colours_are_the_truth_within_the_errors(seen: Bands) -> None:
    rows, star = isolated(seen, point=True)
    assert rows.size > 30
    for kind in ("psf", "colour", "auto"):
        flux, error, true = {}, {}, {}
        for band, table in seen.forced.items():
            flux[band], error[band] = table[f"flux_{kind}"][rows], table[f"flux_{kind}_err"][rows]
            true[band] = truth_flux(seen.skies[band], seen.plans[band])[star]
            pulls = (flux[band] - true[band]) / error[band]
            assert abs(np.median(pulls)) < 0.6, (kind, band)
            assert 0.6 < 1.4826 * np.median(np.abs(pulls - np.median(pulls))) < 1.5, (kind, band)
        for one, other in (("g", "r"), ("r", "i")):
            # No logarithm: light may be negative.
            off = flux[one] / true[one] - flux[other] / true[other]
            pulls = off / np.hypot(error[one] / true[one], error[other] / true[other])
            assert abs(np.median(pulls)) < 0.6, (kind, one, other)


def test_colours_of_galaxies_do_not_follow_the_seeing(seen: Bands) -> None:
    rows, source = isolated(seen, point=False)
    for one, other in (("g", "r"), ("r", "i"), ("g", "i")):
        ratio, error = [], []
        for band in (one, other):
            true = truth_flux(seen.skies[band], seen.plans[band])[source]
            ratio.append(seen.forced[band]["flux_colour"][rows] / true)
            error.append(seen.forced[band]["flux_colour_err"][rows] / true)
        pulls = (ratio[0] - ratio[1]) / np.hypot(*error)
        assert abs(np.median(pulls)) < 0.9, (one, other)


def test_light_where_there_is_none_is_zero_on_average_and_negative_half_of_the_time(seen: Bands) -> None:
    made, image = seen.made["r"], seen.images["r"]
    assert image.variance is not None
    empty = np.random.default_rng(2).normal(0, 1, image.shape).astype(np.float32) * np.sqrt(image.variance)
    dark = replace(image, pixels=empty.astype(np.float32))
    white = np.zeros((15, 15))
    white[7, 7] = 1.0
    noise = {"covariance": white.tolist(), "point": 1.0, "fwhm": made["noise"]["fwhm"]}
    table = forced(
        ForcedSettings(), dark, made["psf"], noise, seen.detection["detection_labels"], seen.detection["detected"]
    )["forced"]
    for kind in ("psf", "auto", "colour"):
        pulls = table[f"flux_{kind}"] / table[f"flux_{kind}_err"]
        assert np.mean(pulls < 0) == pytest.approx(0.5, abs=0.12), kind
        assert np.std(pulls) == pytest.approx(1.0, abs=0.2), kind
        assert np.all(np.isnan(table[f"mag_{kind}"][pulls < 0]))


def test_objects_hold_all_bands_own_their_half_and_keep_their_names(seen: Bands) -> None:
    found = seen.detection["detected"]
    made = objects(ObjectsSettings(), West(), found, members(seen.forced), None, None, None)
    table = made["objects"]
    assert len(table) == len(found)
    assert np.all(np.diff(table["object_id"]) > 0)
    np.testing.assert_array_equal(table["own"] == 1, table["ra"] < 150.0)
    for band in "gri":
        assert table.declaration(f"mag_psf_{band}").meaning.endswith(f"band {band}")
        np.testing.assert_array_equal(np.sort(table[f"flux_psf_{band}"]), np.sort(seen.forced[band]["flux_psf"]))
    assert made["object_figures"]["objects_kept"].value == 0
    fewer = found.select(np.arange(0, len(found), 2))
    light = {band: each.select(np.arange(0, len(found), 2)) for band, each in seen.forced.items()}
    again = objects(ObjectsSettings(), West(), fewer, members(light), table, None, None)
    assert again["object_figures"]["objects_kept"].value == len(fewer)
    assert set(again["objects"]["object_id"].tolist()) < set(table["object_id"].tolist())


def test_bad_input_is_named(seen: Bands) -> None:
    image, made = seen.images["r"], seen.made["r"]
    found, table = seen.detection["detection_labels"], seen.detection["detected"]
    nothing = Image(np.full(image.shape, np.nan, np.float32), image.variance, image.mask, image.header)
    for stack, psf, detected, code in (
        (replace(image, header={}), made["psf"], table, "zero-point.none"),
        (replace(image, variance=None), made["psf"], table, "data.bad-value"),
        (image, Catalogue({}), table, "psf.missing"),
        (nothing, made["psf"], table, "data.no-pixels"),
        (image, made["psf"], table.select(np.arange(5)), "data.bad-value"),
    ):
        with pytest.raises(DataFault) as caught:
            forced(ForcedSettings(), stack, psf, made["noise"], found, detected)
        assert caught.value.code == code
    noise = members({"r": made["noise"]})
    for stack, code in (
        (nothing, "data.no-pixels"),
        (replace(image, variance=None), "data.bad-value"),
        (replace(image, header={"MAGZERO": 30.0}), "data.bad-value"),
    ):
        with pytest.raises(DataFault) as caught:
            detection(DetectionSettings(), members({"r": stack}), noise)
        assert caught.value.code == code
    short = members({"g": seen.forced["g"].select(np.arange(3))})
    with pytest.raises(DataFault) as caught:
        objects(ObjectsSettings(), West(), table, short, None, None, None)
    assert caught.value.code == "data.bad-value"

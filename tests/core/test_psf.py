"""The model of the point spread function as a record and as a product."""

import numpy as np
import pytest

from spica.core.columns import Catalogue
from spica.core.faults import DataFault
from spica.core.psf import PsfModel, polynomial_terms
from spica.core.records import Scalar


def model(degree: int = 2, others: tuple[str, ...] = (), *, errors: bool = True) -> PsfModel:
    rng = np.random.default_rng(3)
    shape = (len(polynomial_terms(degree)) + len(others), 9, 9)
    cube = rng.normal(0, 1, shape).astype(np.float32)
    facts: dict[str, Scalar] = {"made": "fit", "heldout": 1.01}
    return PsfModel(
        cube,
        degree,
        (511.5, 1023.5),
        (512.0, 1024.0),
        0.8,
        3.9,
        1.02,
        321,
        abs(cube) if errors else None,
        others,
        facts,
    )


def test_terms_are_in_the_order_of_psfex() -> None:
    assert polynomial_terms(2) == ((0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (0, 2))


@pytest.mark.parametrize(("others", "errors"), [((), True), (("colour", "colour u"), False)])
def test_a_product_gives_the_same_model(others: tuple[str, ...], *, errors: bool) -> None:
    before = model(others=others, errors=errors)
    product = before.to_catalogue()
    for name in product.columns:
        assert product.declaration(name).meaning
    after = PsfModel.from_catalogue(product)
    np.testing.assert_array_equal(after.coefficients, before.coefficients)
    for name in ("degree", "centre", "scale", "sampling", "fwhm", "chi2", "stars", "others", "facts"):
        assert getattr(after, name) == getattr(before, name), name
    assert (after.errors is None) == (before.errors is None)


def test_samples_are_the_polynomial() -> None:
    made = model()
    u, v = (100.0 - 511.5) / 512.0, (2000.0 - 1023.5) / 1024.0
    c = made.coefficients.astype(float)
    expected = c[0] + u * c[1] + u * u * c[2] + v * c[3] + u * v * c[4] + v * v * c[5]
    np.testing.assert_allclose(made.samples(100.0, 2000.0)[0], expected, atol=1e-5)


def test_a_source_without_a_colour_has_the_mean_psf() -> None:
    np.testing.assert_allclose(model(others=("colour",)).samples(5, 5), model().samples(5, 5), atol=1e-5)


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(DataFault, match="no PSF model"):
        PsfModel.from_catalogue(Catalogue({"x": np.zeros(3)}))
    with pytest.raises(DataFault, match="do not fit degree"):
        PsfModel(np.zeros((3, 9, 9), np.float32), 2, (0, 0), (1, 1), 1.0, 3.0)
    with pytest.raises(DataFault, match="positive"):
        PsfModel(np.zeros((1, 9, 9), np.float32), 0, (0, 0), (1, 1), 0.0, 3.0)

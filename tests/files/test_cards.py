"""Header cards: what is written is read back, here and by astropy."""

from __future__ import annotations

import math
import warnings

import pytest
from astropy.io import fits as astropy_fits
from hypothesis import given
from hypothesis import strategies as st

from spica.core.records import Scalar
from spica.files import cards

_TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200)
_VALUES = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63), st.floats(allow_nan=False, allow_infinity=False), _TEXT, st.none()
)


@given(st.dictionaries(st.from_regex(r"[A-Z][A-Z0-9_-]{0,7}", fullmatch=True), _VALUES, max_size=8))
def test_what_is_written_is_read(values: dict[str, Scalar]) -> None:
    values.pop("END", None)
    values = {k: v for k, v in values.items() if k not in {"COMMENT", "HISTORY", "CONTINUE", "HIERARCH"}}
    data = cards.header(values)
    assert len(data) % cards.BLOCK == 0
    expected = {k: v.rstrip() if isinstance(v, str) else v for k, v in values.items()}
    assert cards.parse(data.decode()) == expected


@given(st.from_regex(r"[A-Z][A-Z0-9]{0,6}", fullmatch=True), _VALUES)
def test_astropy_reads_the_same(key: str, value: Scalar) -> None:
    text = cards.header({key: value}).decode()
    if key in {"END", "COMMENT", "HISTORY"}:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        header = astropy_fits.Header.fromstring(text)
    found = header[key]
    assert found == (value.rstrip() if isinstance(value, str) else value)


def test_names_that_fits_lacks_become_hierarch() -> None:
    text = cards.card("exposure_time", 3.5, "seconds")
    assert text.startswith("HIERARCH exposure_time = 3.5 / seconds")
    assert cards.parse(text) == {"exposure_time": 3.5}
    assert cards.parse("HIERARCH ESO DET ID = 'ccd ''a''' / x".ljust(80)) == {"ESO DET ID": "ccd 'a'"}


def test_unknown_numbers_are_undefined_and_letters_are_ascii() -> None:
    values: dict[str, Scalar] = {"A": math.nan, "B": math.inf, "C": "σ Ori"}
    assert cards.parse(cards.header(values).decode()) == {"A": None, "B": None, "C": "\\u03c3 Ori"}


@pytest.mark.parametrize(
    ("card", "value"),
    [
        ("KEY     =                    T", True),
        ("KEY     = 1.5D3 / fortran", 1500.0),
        ("KEY     = 'a''b / c' / d", "a'b / c"),
        ("KEY     =", None),
        ("KEY     = 6,4E-05 / comma", "6,4E-05"),
        ("KEY     =3", 3),
        ("KEY     = NaN", "NaN"),
        ("KEY     = 'no end", "no end"),
        ("COMMENT = 3", None),
    ],
)
def test_odd_cards(card: str, value: Scalar) -> None:
    found = cards.parse(card.ljust(80))
    assert found.get("KEY") == value


def test_the_first_of_two_counts() -> None:
    text = cards.card("A", 1) + cards.card("A", 2) + cards.card("LONG", "x" * 150)
    assert cards.parse(text) == {"A": 1, "LONG": "x" * 150}


@pytest.mark.parametrize("value", [-7e-05, 1e22, 3.0, 1.5e-300, 0.1])
def test_a_real_number_has_a_point(value: float) -> None:
    """AstrOmatic's readers take 7E-05 for the integer 7."""
    text = cards.card("CD1_1", value)[10:].strip()
    assert "." in text
    assert float(text) == value

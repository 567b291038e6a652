"""The selection language: what people type, and nothing that runs."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spica.core.faults import SetupFault
from spica.core.select import evaluate
from spica.core.where import Both, Comparison, Not, names, parse

COLUMNS = {
    "snr": np.array([1.0, 5.0, 30.0, np.nan]),
    "band": np.array(["g", "r", "r", "i"]),
    "flags": np.array([0, 1, 0, 4]),
}


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", [0, 1, 2, 3]),
        ("snr > 4", [1, 2]),
        ("snr>=5 and flags=0", [2]),
        ("band in ('g', 'i') or flags = 1", [0, 1, 3]),
        ("not band = 'r'", [0, 3]),
        ("band not in ('r')", [0, 3]),
        ("snr between 1 and 5", [0, 1]),
        ("snr is null", [3]),
        ("snr is not null and (flags <> 0)", [1]),
        ("band like '_' AND NOT snr < 1e1", [2, 3]),
        ("flags == -1", []),
    ],
)
def test_selects_rows(text: str, rows: list[int]) -> None:
    assert np.flatnonzero(evaluate(parse(text), COLUMNS, 4)).tolist() == rows


@pytest.mark.parametrize(
    "text", ["snr >", "snr", "(snr > 1", "snr > 1)", "1 = 1", "a = b", "a ; drop table x", "a in ()"]
)
def test_nonsense_is_refused_with_the_place(text: str) -> None:
    with pytest.raises(SetupFault) as caught:
        parse(text)
    assert caught.value.code == "where.invalid"
    assert text in caught.value.message


def test_quotes_are_doubled_to_be_meant() -> None:
    assert parse("object = 'Barnard''s'") == Comparison("object", "=", "Barnard's")


def test_names_are_listed() -> None:
    assert list(names(parse("a = 1 and not (b > 2 or c like 'x')"))) == ["a", "b", "c"]


def test_and_binds_tighter_than_or() -> None:
    assert parse("not a = 1 and b = 2") == Both((Not(Comparison("a", "=", 1)), Comparison("b", "=", 2)))


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(SetupFault, match="colour"):
        evaluate(parse("colour = 1"), COLUMNS, 4)


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with contextlib.suppress(SetupFault):
        parse(text)


@given(st.floats(-1e3, 1e3, allow_nan=False), st.floats(-1e3, 1e3, allow_nan=False))
def test_negation_is_the_complement(low: float, high: float) -> None:
    values = {"x": np.linspace(-1e3, 1e3, 41)}
    inside = evaluate(parse(f"x between {low!r} and {high!r}"), values, 41)
    outside = evaluate(parse(f"x not between {low!r} and {high!r}"), values, 41)
    assert np.array_equal(inside, ~outside)

"""Keys: the same facts, the same key; identifiers never clash by construction."""

from __future__ import annotations

import math

import pytest

from spica.core import keys


def test_digest_does_not_depend_on_the_order_of_names() -> None:
    assert keys.digest({"a": 1, "b": [1.5, None]}) == keys.digest({"b": [1.5, None], "a": 1})
    assert keys.digest({"a": 1}) != keys.digest({"a": 2})


def test_digest_is_stable_between_releases() -> None:
    # Stored keys would lose their meaning if this changed.
    assert keys.digest({"task": "detrend", "version": 1}) == "335480ef585069b040ac8a6b647fab6c951c075e"


def test_not_a_number_has_no_key() -> None:
    with pytest.raises(ValueError, match="JSON"):
        keys.digest({"a": math.nan})


def test_source_identifiers_are_unique_and_fit_63_bits() -> None:
    exposure = keys.exposure_id("demo", "demo-20261120-00001")
    assert 0 <= exposure < 2**36
    seen = {keys.source_id(exposure, detector, index) for detector in (0, 1, 255) for index in (0, 1, 2**19 - 1)}
    assert len(seen) == 9
    assert max(seen) < 2**63
    with pytest.raises(ValueError, match="does not fit"):
        keys.source_id(exposure, 256, 0)

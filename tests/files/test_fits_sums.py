"""Checksums as text (FITS standard 4.0, appendix J)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spica.files.fits import ascii_sum


@given(st.integers(0, 0xFFFFFFFF))
def test_checksum_characters_are_letters_and_digits_that_keep_the_sum(value: int) -> None:
    text = ascii_sum(0xFFFFFFFF - value)
    assert len(text) == 16
    assert text.isascii()
    assert text.isalnum()
    turned = text[1:] + text[0]
    total = sum(int.from_bytes(turned[k : k + 4].encode(), "big") - 0x30303030 for k in range(0, 16, 4))
    while total > 0xFFFFFFFF:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    assert total % 0xFFFFFFFF == value % 0xFFFFFFFF

"""The doors between arrays of any kind and compiled kernels."""

import numpy as np
import pytest

from spica.kernels import robust
from spica.kernels.compiled import as_plain
from spica.kernels.robust import robust_statistics


def test_what_is_plain_already_is_not_copied() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert as_plain(values, np.float32) is values


@pytest.mark.parametrize("kind", ["swapped", "integers", "strided", "unaligned", "read-only"])
def test_any_array_becomes_plain_with_the_same_values(kind: str) -> None:
    values = np.arange(1, 9, dtype=np.float32).reshape(2, 4)
    strange = {
        "swapped": values.astype(">f4"),
        "integers": values.astype(np.int16),
        "strided": np.repeat(values, 2, axis=1)[:, ::2],
        "unaligned": np.frombuffer(b"x" + values.tobytes(), np.float32, 8, 1).reshape(2, 4),
        "read-only": np.frombuffer(values.tobytes(), np.float32).reshape(2, 4),
    }[kind]
    plain = as_plain(strange, np.float32)
    np.testing.assert_array_equal(plain, values)
    assert plain.dtype == np.float32
    assert plain.dtype.isnative
    assert plain.flags.carray


def test_a_read_only_array_is_neither_copied_nor_compiled_for_nor_freed() -> None:
    robust_statistics(np.ones(5))
    before = len(robust.gather_good.signatures)  # type: ignore[attr-defined]
    frozen = np.frombuffer(np.arange(1000, dtype=np.float32).tobytes(), np.float32)
    view = as_plain(frozen, np.float32)
    assert np.shares_memory(view, frozen)
    assert not frozen.flags.writeable
    assert robust_statistics(frozen).median == 499.5
    assert len(robust.gather_good.signatures) == before  # type: ignore[attr-defined]
    del frozen
    np.testing.assert_array_equal(view, np.arange(1000))

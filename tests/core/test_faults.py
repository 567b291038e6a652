"""Faults: declared codes, evidence that travels, advice for all."""

from __future__ import annotations

import pickle

import pytest

from spica.core import faults
from spica.core.catalogue import CODES
from spica.core.faults import DataFault, FaultKind, InternalFault, SetupFault, declare


def test_every_code_says_what_to_do() -> None:
    for code, declared in CODES.items():
        assert "." in code
        assert declared.meaning, code
        assert declared.advice, code


def test_a_fault_survives_the_way_between_processes() -> None:
    fault = DataFault("file.truncated", "a.fits ends early", path="a.fits", missing=12)
    twin = pickle.loads(pickle.dumps(fault))  # noqa: S301 - our own bytes
    assert type(twin) is DataFault
    assert twin.record() == fault.record()
    assert twin.record().advice == CODES["file.truncated"].advice


def test_an_undeclared_code_is_an_internal_fault() -> None:
    with pytest.raises(InternalFault, match=r"nobody\.knows"):
        SetupFault("nobody.knows", "x")


def test_outside_codes_are_declared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "CODES", dict(CODES))
    declare("outside.late", FaultKind.DATA, "too late", "be earlier")
    declare("outside.late", FaultKind.DATA, "too late", "be earlier")
    assert DataFault("outside.late", "m").advice == "be earlier"
    with pytest.raises(InternalFault):
        declare("outside.late", FaultKind.DATA, "something else", "x")

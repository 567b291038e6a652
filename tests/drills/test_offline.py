"""No download at run time: real and simulated frames go the whole way with the network closed."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from tests.support.terminal import new_survey


@pytest.fixture
def closed_network(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Any connection and any look-up of a name fails, and is remembered."""
    tried: list[Any] = []

    def refuse(*words: Any, **_: Any) -> None:
        tried.append(words)
        raise OSError("the network is closed")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tried


@pytest.mark.realdata
def test_a_real_frame_needs_no_network(real_data: Path, tmp_path: Path, closed_network: list[Any]) -> None:
    survey = new_survey(tmp_path / "survey")
    frames = sorted((real_data / "legacy_testcase9").glob("*_oo[iwd]_r_ls9.N26.fits"))
    assert survey.ask("ingest", *frames)["new"] == 1
    survey.order("run", "catalogue", "--executor", "inprocess")
    assert closed_network == []


def test_simulated_frames_need_no_network(tmp_path: Path, closed_network: list[Any]) -> None:
    survey = new_survey(tmp_path / "survey")
    small = [
        word
        for setting in ("detector_size=96,96", "detectors=1", "exposures=1", "bands=r")
        for word in ("--set", setting)
    ]
    survey.order("simulate", tmp_path / "sky", *small, "--survey", survey.folder)
    assert survey.ask("ingest", tmp_path / "sky/raw")["quarantined"] == 0
    survey.order("run", "night", "--executor", "inprocess")
    assert closed_network == []

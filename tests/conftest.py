"""What all tests share: fixtures, and the rule that nothing is left out in silence.

A test may be left out for one reason only: a program from outside Python (see `tests/support/groups.py`) is absent.
The terminal summary names every group left out. With SPICA_REQUIRE_ALL=1 leaving anything out is a failure; any other
skip is a failure always.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
import typer.main
import typer.testing

from tests.support.groups import GROUPS, real_data_folder
from tests.support.postgres import PrivateServer

# Workers and tests run one thread each, and plots need no screen: said before anything imports numpy.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("MPLBACKEND", "Agg")

# typer builds all commands anew for every order that a test gives in its process, which takes longer than most orders do.
vars(typer.testing).update(_get_command=functools.cache(typer.main.get_command))

_LEFT_OUT = "left out: "


def _require_all() -> bool:
    return os.environ.get("SPICA_REQUIRE_ALL", "") not in {"", "0"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that ask for a group's fixture, and leave out the groups whose program is absent."""
    absent = {group.name: group for group in GROUPS if not group.present()}
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        for group in GROUPS:
            if fixtures.intersection(group.fixtures):
                item.add_marker(group.name)
        for name in sorted({mark.name for mark in item.iter_markers()} & set(absent)):
            item.add_marker(pytest.mark.skip(reason=f"{_LEFT_OUT}{name}: {absent[name].remedy}"))


def _judge(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure, unless a group is absent and may be."""
    if report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if _LEFT_OUT in reason and not _require_all():
        return
    why = "SPICA_REQUIRE_ALL is set" if _LEFT_OUT in reason else "only a group of tests/support/groups.py may be"
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid} was left out ({reason}), but {why}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge every skip of a test."""
    report = yield
    _judge(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Judge every skip of a whole file."""
    report = yield
    _judge(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly which groups were left out."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        counts[str(report.longrepr[2]).partition(_LEFT_OUT)[2]] += 1
    if not counts:
        return
    terminalreporter.section("LEFT OUT: programs that this machine lacks", sep="!", red=True, bold=True)
    for reason, count in sorted(counts.items()):
        terminalreporter.write_line(f"{count:5d} tests of group {reason}", red=True)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real frames (see its README.md), read-only."""
    folder = real_data_folder()
    assert folder is not None, "the group realdata is left out when the folder is absent"
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PrivateServer]:
    """A private PostgreSQL server for this session."""
    with PrivateServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres_server: PrivateServer) -> str:
    """Address (postgresql+psycopg://...) of the private server's first database, shared by the session."""
    return postgres_server.url()


@pytest.fixture
def postgres_database(postgres_server: PrivateServer) -> Callable[[], str]:
    """Each call makes an empty database and returns its address."""
    return postgres_server.fresh_database

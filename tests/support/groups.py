"""Groups of tests that need a program from outside Python: which, how it is found, how it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.postgres import server_programs

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Group:
    """One group: the marker's name, whether its program is here, and what to do about it."""

    name: str
    present: Callable[[], bool]
    remedy: str
    fixtures: tuple[str, ...] = ()


def real_data_folder() -> Path | None:
    """Folder of real frames: `SPICA_TEST_DATA`, else `shared/data` beside the checkout; None when absent."""
    named = os.environ.get("SPICA_TEST_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    return folder if (folder / "README.md").exists() else None


def _on_path(*names: str) -> Callable[[], bool]:
    return lambda: all(shutil.which(name) for name in names)


def _mounts_allowed() -> bool:
    """Whether we may mount a small disk: root may, unless a container forbids it."""
    if os.geteuid() != 0 or not _on_path("mount", "umount", "unshare")():
        return False
    return subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode == 0


def _astromatic() -> bool:
    extractor = shutil.which("source-extractor") or shutil.which("sex")
    return (
        bool(extractor)
        and _on_path("scamp", "psfex", "stiff", "missfits")()
        and bool(shutil.which("SWarp") or shutil.which("swarp"))
    )


def lsdb_python() -> str | None:
    """The Python that `SPICA_TEST_LSDB` names, which has lsdb: a peer in an environment of its own, as it asks for other versions than ours."""
    named = os.environ.get("SPICA_TEST_LSDB")
    return named if named and shutil.which(named) else None


def aladin_script() -> Path | None:
    """Aladin Lite: the file that `SPICA_TEST_ALADIN` names, else the one that `make aladin` fetched; None when absent."""
    named = os.environ.get("SPICA_TEST_ALADIN")
    script = Path(named) if named else ROOT / "build" / "aladin" / "package" / "dist" / "aladin.js"
    return script if script.is_file() else None


INDEXES = Path("/usr/share/astrometry")
"""Where Debian installs index files of astrometry.net."""


def _astrometry() -> bool:
    return any(INDEXES.glob("index-tycho2-1?.*.fits")) and _on_path("solve-field", "build-astrometry-index")()


GROUPS: tuple[Group, ...] = (
    Group(
        "postgres",
        lambda: server_programs() is not None,
        "install `postgresql` (make system)",
        ("postgres_server", "postgres_url", "postgres_database"),
    ),
    Group("chromium", lambda: bool(shutil.which("chromium")), "install `chromium`"),
    Group(
        "aladin",
        lambda: aladin_script() is not None,
        "fetch Aladin Lite with `make aladin` (npm), or set SPICA_TEST_ALADIN to its aladin.js",
    ),
    Group("mount", _mounts_allowed, "run as root where disks may be mounted", ("disk",)),
    Group("fitsverify", _on_path("fitsverify"), "install `fitsverify` (make system)"),
    Group("slurm", _on_path("sbatch", "slurmctld", "slurmd", "munged"), "install `slurm-wlm munge`"),
    Group("astromatic", _astromatic, "install `source-extractor scamp swarp psfex stiff missfits` (make system)"),
    Group("astrometry", _astrometry, "install `astrometry.net astrometry-data-tycho2-10-19` (make system)"),
    Group(
        "lsdb", lambda: lsdb_python() is not None, "set SPICA_TEST_LSDB to a Python where `pip install lsdb` was done"
    ),
    Group("stilts", _on_path("stilts"), "install `stilts`"),
    Group(
        "realdata",
        lambda: real_data_folder() is not None,
        "set SPICA_TEST_DATA to the folder of real frames",
        ("real_data",),
    ),
)

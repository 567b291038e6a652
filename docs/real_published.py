"""Make the table of published frames in docs/real-frames.md: zero points, seeing and PSF models of the Legacy Surveys.

    python docs/real_published.py DATA      # folder of the real frames; see tests/support/groups.py

Writes docs/real-published-figures.txt.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.time import Time

sys.path.insert(0, str(Path(__file__).parents[1]))
from docs.real_frames import survey, write
from spica.core.columns import Catalogue
from spica.files.catalogues import read_catalogue
from tests.support.published import FOLDERS, Cutout, Star, cutouts, gaia, stars


def made_of(cutout: Cutout, found: Sequence[Catalogue]) -> Catalogue:
    """The catalogue that spica made of a cutout, by its time."""
    return min(found, key=lambda each: abs(Time(str(each.header["DATE-OBS"])).jyear - cutout.year))


def width(found: Catalogue, star: Star) -> float:
    """FWHM [pixel] that spica's catalogue has for a star; NaN where it has none there."""
    away = np.hypot(found["x"] - star.x, found["y"] - star.y)
    return float(found["fwhm"][np.argmin(away)]) if away.min(initial=np.inf) < 2.0 else np.nan


def main() -> None:
    """Catalogues of the cutouts by the pipeline, their stars by the published models, side by side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data.resolve()
    known, rows = gaia(data), []
    with tempfile.TemporaryDirectory() as scratch:
        frames = sorted(path for each in FOLDERS for path in (data / each).glob("*_oo[iwd]_*ls9.*.fits"))
        made = survey(Path(scratch) / "delivered", "catalogue", frames, "--executor", "inprocess")
        found = [read_catalogue(path) for path in made.find("*_sources.*.parquet") if "exposure" not in path.name]
    for cutout in cutouts(data):
        each = stars(cutout, known)
        points = [star for star in each if star.point]
        line = [f"{cutout.camera} {cutout.band}, {cutout.name.partition('_oo')[0]}", f"{len(points)} of {len(each)}"]
        line.append(f"{cutout.zero:.3f} ± {cutout.zero_rms:.3f}")
        if points:
            zeros = np.array([star.zero for star in points])
            line.append(f"{zeros.mean() - cutout.zero:+.3f} ± {zeros.std(ddof=1) / np.sqrt(zeros.size):.3f}")
            ours = np.nanmedian([width(made_of(cutout, found), star) for star in points])
            wide = np.median([star.wide for star in points])
            line += [
                f"{cutout.fwhm:.2f}",
                f"{ours:.2f}",
                f"{wide:.3f}",
                f"{100 * np.median([star.peak for star in points]):.1f} %",
            ]
        else:
            line += ["–", f"{cutout.fwhm:.2f}", "–", "–", "–"]
        rows.append(tuple(line))
    head = (
        "frame",
        "stars",
        "published zero point",
        "ours less it",
        "published FWHM [pixel]",
        "spica's",
        "width over the PSFEx model's",
        "residual of the peak",
    )
    write("published", head, rows)


if __name__ == "__main__":
    main()

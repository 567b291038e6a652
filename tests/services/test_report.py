"""The page of a report: everything is in it, nothing is asked of a network, and what is missing is told."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from typer.testing import CliRunner

from spica.cli.main import app
from spica.core.faults import SetupFault
from spica.services.report import Report, report
from spica.services.why import why
from tests.support.survey import SCIENCE, Small

NIGHT = "2026-11-20"
VOID = {"meta", "link", "img", "br", "source"}


class Page(HTMLParser):
    """Tags of a page with their attributes, its text, and whether tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, name: str) -> list[str]:
        return [value for _, attrs in self.tags if (value := attrs.get(name)) is not None]


@pytest.fixture(scope="module")
def written(reduced_once: Small, tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Page, Path]:
    folder = tmp_path_factory.mktemp("pages")
    made = report(SCIENCE[0], reduced_once.folder, output=folder, plots=folder / "plots")
    assert made.page == str(folder / f"{SCIENCE[0]}.html")
    return made, Page(Path(made.page).read_text()), folder


def test_everything_is_in_the_page(written: tuple[Report, Page, Path]) -> None:
    made, page, folder = written
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "iframe", "object", "embed", "base"}
    assert {attrs["href"] for tag, attrs in page.tags if tag == "link"} == {"data:,"}
    images = page.values("src")
    assert images
    assert all(each.startswith("data:image/png;base64,") for each in images)
    text = Path(made.page).read_text()
    assert not any(word in text for word in ("http:", "https:", "url(", "@import"))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    for target in page.values("href"):
        if target.startswith("#"):
            assert target[1:] in ids
        elif target != "data:,":
            assert (folder / unquote(target)).is_file()
    assert made.size == len(text.encode())


def test_it_tells_the_verdict_the_figures_and_what_made_it(
    written: tuple[Report, Page, Path], reduced_once: Small
) -> None:
    made, page, _ = written
    story = why(SCIENCE[0], reduced_once.folder)
    assert story.quality is not None
    assert made.facts.grade == story.quality.grade
    for reason in story.quality.reasons:
        assert reason in page.text
    sky = next(metric for metric in story.metrics if metric.name == "sky_mag")
    assert f"{sky.value:.2f} mag/arcsec2" in page.text
    assert {each.unit for each in made.facts.detectors} == {f"{SCIENCE[0]}/1", f"{SCIENCE[0]}/2"}
    steps = {step.label for job in story.jobs for step in job.steps}
    assert steps <= {each.step for each in made.facts.made}
    assert "numba" in page.text


def test_what_was_not_made_is_told_in_its_place(written: tuple[Report, Page, Path]) -> None:
    made, page, folder = written
    # A night that was only reduced has neither PSF nor solution.
    assert [each.name for each in made.plots if not each.missing] == []
    assert len(made.plots) >= 16
    for each in made.plots:
        assert each.title in page.text
        assert each.missing in page.text
        assert each.files == ()
    assert not (folder / "plots").exists()


def test_the_same_page_twice(written: tuple[Report, Page, Path], reduced_once: Small) -> None:
    made, _, folder = written
    again = report(SCIENCE[0], reduced_once.folder, output=folder / "again.html")
    assert Path(again.page).read_bytes() == Path(made.page).read_bytes()


def test_a_night_and_a_detector(reduced_once: Small, tmp_path: Path) -> None:
    night = report(NIGHT, reduced_once.folder, output=tmp_path)
    assert [each.unit for each in night.facts.exposures] == list(SCIENCE)
    assert f"of {len(SCIENCE)} exposures" in night.facts.reasons[0]
    one = report(NIGHT, reduced_once.folder, where=f"exposure = '{SCIENCE[0]}'", output=tmp_path / "one.html")
    assert [each.unit for each in one.facts.exposures] == [SCIENCE[0]]
    detector = report(f"{SCIENCE[0]}/2", reduced_once.folder, output=tmp_path)
    assert [each.unit for each in detector.facts.detectors] == [f"{SCIENCE[0]}/2"]
    assert Path(detector.page).name == f"{SCIENCE[0]}_2.html"
    assert "Quick look" in Page(Path(detector.page).read_text()).text


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("1999-01-01", "order.nothing"),
        ("demo-19990101-00001", "order.unknown-unit"),
        ("calibration:demo/1//" + NIGHT, "order.invalid"),
        ("group:nothing", "order.unknown-unit"),
    ],
)
def test_what_cannot_be_reported_is_refused_by_name(what: str, code: str, reduced_once: Small, tmp_path: Path) -> None:
    with pytest.raises(SetupFault) as told:
        report(what, reduced_once.folder, output=tmp_path)
    assert told.value.code == code
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_is_no_page_is_refused(reduced_once: Small, tmp_path: Path) -> None:
    with pytest.raises(SetupFault) as told:
        report(SCIENCE[0], reduced_once.folder, output=tmp_path / "page.pdf")
    assert told.value.code == "order.invalid"


def test_the_command(reduced_once: Small, tmp_path: Path) -> None:
    told_by = ["report", SCIENCE[0], "--survey", str(reduced_once.folder), "--output", str(tmp_path)]
    done = CliRunner().invoke(app, [*told_by, "--json"])
    told = json.loads(done.stdout)
    assert told["facts"]["grade"] in "ABCD"
    assert Path(told["page"]).is_file()


def test_what_no_step_drew_is_drawn_of_the_images(done: Small, tmp_path: Path) -> None:
    for path in [*done.folder.glob("products/*/**/*_quicklook.*"), *done.folder.glob("products/*/**/*_focal_plane.*")]:
        path.unlink()
    for name, wide in ((SCIENCE[0], True), (f"{SCIENCE[0]}/1", False)):
        made = report(name, done.folder, output=tmp_path)
        look = Path(made.page).read_text().partition('<section id="look">')[2].partition("</section>")[0]
        assert "Not shown" not in look
        assert ("picture wide" in look) == wide
        assert look.count("data:image/png") == 1
    for path in done.folder.glob("products/science/**/*_1_science.*"):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    (done.folder / "thumbnails").rename(tmp_path / "away")
    page = Path(report(f"{SCIENCE[0]}/1", done.folder, output=tmp_path).page).read_text()
    assert "has other bytes than recorded" in page

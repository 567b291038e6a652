"""A table checked against real files: every property with its verdict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spica.core.camera import Camera
from spica.instruments.review import Finding, review

Headers = list[dict[str, Any]]


def _verdicts(findings: tuple[Finding, ...]) -> dict[str, str]:
    return {finding.subject: finding.verdict for finding in findings}


def test_a_good_file(demo: Camera, demo_primary: dict[str, Any], demo_images: Headers) -> None:
    findings = review(demo, [demo_primary, *demo_images[:3]])
    verdicts = _verdicts(findings)
    assert not {"missing", "absurd"} & set(verdicts.values())
    assert verdicts["recognised"] == verdicts["mjd"] == verdicts["detectors"] == "ok"
    assert verdicts["programme"] == "defaulted"
    assert next(f.value for f in findings if f.subject == "detectors") == "3 of 4"


def test_a_bad_file_says_all_that_is_wrong(demo: Camera, demo_primary: dict[str, Any]) -> None:
    findings = review(demo, [demo_primary | {"EXPTIME": None, "DEC": "x", "FILTER": "purple", "INSTRUME": "other"}])
    verdicts = _verdicts(findings)
    assert verdicts["exposure_time"] == "missing"
    assert verdicts["dec"] == verdicts["filter"] == "absurd"
    assert verdicts["recognised"] == "missing"
    assert all(finding.why for finding in findings if finding.verdict in {"missing", "absurd"})
    assert "detectors" not in verdicts


def test_sections_that_do_not_fit(demo: Camera, demo_primary: dict[str, Any], demo_images: Headers) -> None:
    findings = review(demo, [demo_primary, demo_images[0] | {"NAXIS1": 100}])
    assert _verdicts(findings)["detectors"] == "absurd"


def test_a_real_file(fits_headers: Callable[[str], Headers], cameras: dict[str, Camera]) -> None:
    findings = review(cameras["sinistro"], fits_headers("raw_lco/mef_raw_test_frame.fits"))
    assert not [finding for finding in findings if finding.verdict in {"missing", "absurd"}]

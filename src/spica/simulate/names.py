"""Names of raw files in the manner of each camera."""

from __future__ import annotations

import re
from fnmatch import fnmatch

from spica.core.camera import Camera, DetectorSpec
from spica.core.records import FrameType
from spica.instruments.rules import FILENAME
from spica.instruments.times import utc_of
from spica.simulate.schedule import Shot, spelling

_LETTERS = {FrameType.BIAS: "b", FrameType.DARK: "d", FrameType.FLAT: "f", FrameType.OBJECT: "o"}
_DECAM = {FrameType.BIAS: "zri", FrameType.DARK: "dri", FrameType.FLAT: "fri", FrameType.OBJECT: "ori"}
_WILD = re.compile(r"\?+|\*|\[[^\]]*\]")


def file_name(camera: Camera, shot: Shot, spec: DetectorSpec | None = None, amplifier: str = "") -> str:
    """Name of a raw file; the camera table's pattern finds it.

    Parameters
    ----------
    spec, amplifier : the detector (and the name of the amplifier) where files hold one.
    """
    own = _own(camera, shot, spec)
    if own:
        return own + camera.suffix
    plain = _plain(camera, shot, spec, amplifier)
    if fnmatch(plain + camera.suffix, camera.file_pattern):
        return plain + camera.suffix
    return _filled(camera.file_pattern.partition(".fit")[0], shot, plain) + camera.suffix


def _own(camera: Camera, shot: Shot, spec: DetectorSpec | None) -> str:
    """The observatory's way, where a pattern cannot say it; '' for the others."""
    date, clock = shot.night.replace("-", ""), re.sub(r"\D", "", utc_of(shot.mjd_tai)[11:19])
    detector, sensor = (spec.id, spec.name) if spec is not None else (0, "")
    forms = {
        "decam": f"c4d_{date[2:]}_{clock}_{_DECAM[shot.frame_type]}",
        "megaprime": f"{shot.sequence:07d}{_LETTERS[shot.frame_type]}",
        "wircam": f"{shot.sequence:07d}{_LETTERS[shot.frame_type]}",
        "hsc": f"HSC{'AB'[detector // 100 % 2]}{shot.sequence:06d}{detector % 100:02d}",
        "suprimecam": f"SUPA{shot.sequence:07d}{detector % 10}",
        "sinistro": f"tst1m000-fa00-{date}-{shot.sequence:04d}-{_LETTERS[shot.frame_type]}00",
        "imsim": "_".join(["lsst_a", str(shot.visit), shot.band or str(shot.frame_type), sensor, f"E{shot.snap:03d}"]),
    }
    return forms.get(camera.name, "")


def _plain(camera: Camera, shot: Shot, spec: DetectorSpec | None, amplifier: str) -> str:
    """``<camera>-<night>-<sequence>``, with the frame type where the camera tells it by the name alone."""
    parts = [camera.name, shot.night.replace("-", ""), f"{shot.sequence:05d}"]
    rule = camera.header.get("frame_type")
    if rule is not None and FILENAME in rule.keyword:
        parts.append(spelling(camera, shot))
    words = ["-".join(parts), spec.name if spec is not None else "", amplifier]
    return "_".join(word for word in words if word)


def _filled(pattern: str, shot: Shot, plain: str) -> str:
    """A glob with its wildcards filled: the first ``*`` by the plain name, eight ``?`` by the date, others by numbers."""
    stars = 0

    def fill(match: re.Match[str]) -> str:
        nonlocal stars
        wild = match[0]
        if wild.startswith("["):
            return wild[1]
        if wild.startswith("?"):
            date = shot.night.replace("-", "")
            return date if len(wild) == len(date) else str(shot.sequence).zfill(len(wild))[-len(wild) :]
        stars += 1
        return plain if stars == 1 else str(shot.sequence)

    return _WILD.sub(fill, pattern)

"""Headers of raw frames: the camera table's rules, inverted, and the few cards that only its translator asks for."""

from __future__ import annotations

from spica.core.camera import Camera, DetectorSpec
from spica.core.faults import DataFault, SetupFault
from spica.core.keys import exposure_id
from spica.core.records import Exposure, Scalar
from spica.instruments import cards as written
from spica.instruments.headers import translate
from spica.instruments.times import utc_of
from spica.simulate import names, optics
from spica.simulate.schedule import Shot

Cards = dict[str, Scalar]

_DAY = 86400.0


def record(camera: Camera, shot: Shot) -> Exposure:
    """The exposure as the observatory would describe it."""
    number = written.exposure_number(camera, shot.night, shot.visit, shot.snap)
    name = number if number.startswith(f"{camera.name}-") else f"{camera.name}-{number}"
    return Exposure(
        id=exposure_id(camera.name, name),
        name=name,
        camera=camera.name,
        frame_type=shot.frame_type,
        night=shot.night,
        mjd=shot.mjd_tai,
        exposure_time=shot.exposure_time,
        sequence=shot.visit,
        dark_time=shot.exposure_time,
        band=shot.band,
        filter=camera.band(shot.band).names[0] if shot.band else "",
        flat_kind=shot.flat_kind,
        ra=shot.ra,
        dec=shot.dec,
        rotation=shot.rotation if shot.ra is not None else None,
        airmass=shot.airmass,
        object=shot.field or str(shot.frame_type),
        field=shot.field,
        programme="SIM-1",
        run=f"SIM{shot.night[:4]}",
        observer=str(camera.cards.get("OBSERVER", "simulator")),
        extra={
            "visit": shot.visit,
            "snap": shot.snap,
            "temperature": _temperature(camera),
            "frames": camera.slices,
            "seeing": round(shot.conditions.seeing, 2) or None,
        },
    )


def _temperature(camera: Camera) -> float:
    rule = camera.header.get("extra.temperature")
    return 268.15 if rule is not None and rule.unit == "K" else -5.0


def primary_cards(camera: Camera, shot: Shot, spec: DetectorSpec | None = None, amplifier: str = "") -> Cards:
    """Cards of the primary header, or of the only header of a file that holds one detector or amplifier."""
    cards = written.primary_cards(record(camera, shot), camera)
    if spec is not None:
        cards |= written.detector_cards(camera, spec)
    rule = camera.header.get("amplifier")
    if amplifier and rule is not None and rule.keyword:
        cards[rule.keyword[0]] = amplifier
    return cards | _translator_cards(camera, shot, spec)


def image_cards(camera: Camera, shot: Shot, spec: DetectorSpec, number: int, key: str | int) -> Cards:
    """Cards of one image HDU of a detector: its name, amplifiers, sky solution.

    Parameters
    ----------
    number : which of the detector's HDUs.
    key : its EXTNAME (``NAME`` or ``NAME,version``) or index in the camera table.
    """
    cards: Cards = {}
    if isinstance(key, str) and key:
        name, _, version = key.partition(",")
        cards["EXTNAME"] = name
        if version:
            cards["EXTVER"] = int(version)
    amplifiers = [amp for amp in spec.amplifiers if amp.hdu == number]
    return cards | written.hdu_cards(camera, amplifiers) | sky_cards(camera, spec, shot)


def sky_cards(camera: Camera, spec: DetectorSpec, shot: Shot) -> Cards:
    """The sky solution that the telescope believes in, for the raw HDU; none for calibrations or several HDUs.

    It speaks of raw pixels: the reference pixel is moved from the assembled detector by the first amplifier that is
    stored in the detector's order.
    """
    straight = [amp for amp in spec.amplifiers if not (amp.flip_x or amp.flip_y)]
    if shot.ra is None or shot.dec is None or len(spec.hdus) > 1 or not straight:
        return {}
    cards = optics.cards(optics.plate(camera, spec, (shot.ra, shot.dec, shot.rotation)))
    first = straight[0]
    cards["CRPIX1"] = float(cards["CRPIX1"] or 0.0) + first.data[0] - first.detector[0]
    cards["CRPIX2"] = float(cards["CRPIX2"] or 0.0) + first.data[2] - first.detector[2]
    return cards


def recorded(camera: Camera, shot: Shot) -> Exposure:
    """The exposure as ingest will record it from these headers.

    Raises
    ------
    SetupFault
        ``order.invalid`` where the camera's table cannot read what it says itself.
    """
    spec = camera.detectors[0]
    single = spec if camera.layout != "mosaic" else None
    word = spec.amplifiers[0].name if camera.layout == "amplifier" else ""
    pixels = {"NAXIS": 2, "NAXIS1": spec.nx, "NAXIS2": spec.ny}
    primary = primary_cards(camera, shot, single, word)
    image = {"XTENSION": "IMAGE", **pixels, **image_cards(camera, shot, spec, 0, spec.hdus[0])}
    name = names.file_name(camera, shot, single, word)
    try:
        return translate([{"NAXIS": 0, **primary}, image], camera, name)
    except DataFault as error:
        raise SetupFault(
            "order.invalid", f"camera {camera.name} cannot read its own simulated header: {error}", camera=camera.name
        ) from error


def _translator_cards(camera: Camera, shot: Shot, spec: DetectorSpec | None) -> Cards:
    """Cards that astro-metadata-translator needs beyond those of the camera table's rules."""
    begin, end = (utc_of(mjd)[11:] for mjd in (shot.mjd_tai, shot.mjd_tai + shot.exposure_time / _DAY))
    detector = spec.id if spec is not None else 0
    match camera.translator:
        case "DECam":
            return {
                "OBSID": f"ct4m{shot.night.replace('-', '')}t{begin.replace(':', '')[:6]}",
                "EXPREQ": shot.exposure_time,
            }
        case "MegaPrime":
            return {"OBSID": str(shot.sequence), "EXPREQ": shot.exposure_time, "UTCEND": end}
        case "HSC":
            turn = (270.0 - shot.rotation) % 360.0 if shot.ra is not None else 0.0
            return {
                "FRAMEID": f"HSC{'AB'[detector // 100]}{shot.sequence:06d}{detector % 100:02d}",
                "UT-END": end,
                "INST-PA": turn,
            }
        case "SuprimeCam":
            return {
                "FRAMEID": f"SUPA{shot.sequence:07d}{detector:01d}",
                "UT-END": end,
                "INR-STR": shot.rotation,
            }
    return {}

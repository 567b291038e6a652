"""Header keywords, each declared once with type, unit and meaning: what images and catalogues say of themselves.

``nn`` in a name stands for a number (``OVSCnn``: OVSC00, OVSC01 …). Keywords of the sky solution and of the file's
structure are those of the FITS standard and not repeated here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Keyword:
    """One keyword.

    Attributes
    ----------
    name : at most 8 characters.
    kind : 'text', 'int', 'float' or 'bool'.
    unit : of the value, '' where it has none.
    meaning : a few words; they are the comment of the card.
    place : the HDU that holds it: 'primary', 'SCIENCE', 'VARIANCE', 'MASK', 'catalogue'.
    metric : where `spica header refresh` takes its value from: a metric of the same unit; the grade; the release of the order.
    """

    name: str
    kind: str
    unit: str
    meaning: str
    place: str = "SCIENCE"
    metric: str = ""

    @property
    def comment(self) -> str:
        """The card's comment: unit in brackets, meaning."""
        return f"[{self.unit}] {self.meaning}" if self.unit else self.meaning


def _table(*keywords: Keyword) -> dict[str, Keyword]:
    return {keyword.name: keyword for keyword in keywords}


KEYWORDS: dict[str, Keyword] = _table(
    Keyword("ORIGIN", "text", "", "made by spica", "primary"),
    Keyword("SPICAKEY", "text", "", "key of the job that made it", "primary"),
    Keyword("SPICAUNI", "text", "", "the unit: GRAIN:KEY/KEY", "primary"),
    Keyword("SPICAPRO", "text", "", "the product's name", "primary"),
    Keyword("TASKnn", "text", "", "task and its version, in order", "primary"),
    Keyword("MASTERnn", "text", "", "key of a master that was used", "primary"),
    Keyword("SEEING", "float", "arcsec", "FWHM of stars", "primary", "seeing"),
    Keyword("DEPTH", "float", "mag", "AB magnitude of a point source of 5 sigma", "primary", "depth_mag"),
    Keyword("CALBIAS", "text", "", "how the bias was chosen, its block", "primary"),
    Keyword("CALDARK", "text", "", "how the dark was chosen, its block", "primary"),
    Keyword("CALFLAT", "text", "", "how the flat was chosen, its block", "primary"),
    Keyword("CALDEFEC", "text", "", "how the defect mask was chosen", "primary"),
    Keyword("CALHOT", "text", "", "how the mask of hot pixels was chosen", "primary"),
    Keyword("CALFRING", "text", "", "how the fringe master was chosen", "primary"),
    Keyword("MAGZERO", "float", "mag", "AB magnitude of 1 electron per second", "primary", "zero_point"),
    Keyword("MAGZERR", "float", "mag", "standard error of MAGZERO", "primary", "zero_point_err"),
    Keyword("PHOTLINK", "bool", "", "MAGZERO is tied to reference magnitudes", "primary", "photometric"),
    Keyword("GRADE", "text", "", "verdict on its quality", "primary", "grade"),
    Keyword("RELEASE", "text", "", "data release that it belongs to", "primary", "release"),
    Keyword("DATE-REL", "text", "", "date of that release", "primary", "release"),
    Keyword("DATE-PUB", "text", "", "date from which it is public", "primary", "release"),
    Keyword("BUNIT", "text", "", "unit of the pixels"),
    Keyword("GAIN", "float", "electron", "electrons per unit of the pixels"),
    Keyword("GAINRAW", "float", "electron/adu", "gain, mean of the amplifiers"),
    Keyword("RDNOISE", "float", "electron", "read noise, mean of the amplifiers"),
    Keyword("SATURATE", "float", "electron", "lowest saturation of the amplifiers"),
    Keyword("OVSCnn", "float", "adu", "overscan level of amplifier nn"),
    Keyword("OVMAnn", "float", "adu", "the same when the master bias was made"),
    Keyword("AMPSnn", "text", "", "section of amplifier nn in the image"),
    Keyword("DEADnn", "text", "", "why amplifier nn has no data"),
    Keyword("AMPFACnn", "float", "", "factor of amplifier nn, from its seams"),
    Keyword("FRNGAMP", "float", "electron", "amplitude of fringes taken off"),
    Keyword("EXPTIME", "float", "s", "exposure time"),
    Keyword("DARKTIME", "float", "s", "dark time"),
    Keyword("INSTRUME", "text", "", "camera; of a stack all"),
    Keyword("DETECTOR", "int", "", "number of the detector"),
    Keyword("EXPNAME", "text", "", "name of the exposure"),
    Keyword("SEQNUM", "int", "", "the observatory's number of the exposure"),
    Keyword("OBSTYPE", "text", "", "what the exposure is of"),
    Keyword("OBJECT", "text", "", "target"),
    Keyword("FIELD", "text", "", "field of the survey"),
    Keyword("PROPID", "text", "", "observing programme"),
    Keyword("OBSRUN", "text", "", "observing run"),
    Keyword("OBSERVER", "text", "", "who observed"),
    Keyword("FILTER", "text", "", "the observatory's name of the filter"),
    Keyword("BAND", "text", "", "band"),
    Keyword("NIGHT", "text", "", "local date at sunset"),
    Keyword("TIMESYS", "text", "", "time scale of MJD-OBS and DATE-OBS"),
    Keyword("MJD-OBS", "float", "d", "start of the exposure, MJD"),
    Keyword("DATE-OBS", "text", "", "start of the exposure"),
    Keyword("AIRMASS", "float", "", "airmass"),
    Keyword("RA", "float", "deg", "right ascension of the boresight, ICRS"),
    Keyword("DEC", "float", "deg", "declination of the boresight, ICRS"),
    Keyword("ROTANG", "float", "deg", "position angle of the focal plane's +y"),
    Keyword("CCDSUM", "text", "", "binning in x and y"),
    Keyword("READMODE", "text", "", "read-out mode"),
    Keyword("ASSUMED", "text", "", "values that the raw header lacked"),
    Keyword("RAWSUM", "text", "", "checksum (BLAKE2b-160) of the raw file"),
    Keyword("RAWHDU", "text", "", "its HDUs that this image is made from"),
    Keyword("NOISEFAC", "float", "", "errors raised by this: correlated noise"),
    Keyword("FWHMBAND", "float", "pixel", "FWHM of stars in the broadest band"),
    Keyword("CHIBANDS", "text", "", "bands that sources were found in"),
    Keyword("THRESHOL", "float", "", "sigma above which pixels are a source's"),
    Keyword("MINAREA", "int", "pixel", "fewest connected pixels of a source"),
    Keyword("CONTRAST", "float", "", "least part of light where peaks meet"),
    Keyword("COLOURAP", "float", "pixel", "radius of the aperture of colours", "catalogue"),
    Keyword("BANDS", "text", "", "bands that objects were measured in", "catalogue"),
    Keyword("STARBAND", "text", "", "band of bright stars' magnitudes", "catalogue"),
    Keyword("TILE", "text", "", "tile of sky", "catalogue"),
    Keyword("SEED", "int", "", "seed of random places", "catalogue"),
    Keyword("BACKBOX", "int", "pixel", "mesh of the background"),
    Keyword("BACKMETH", "text", "", "mesh, matched, constant or none"),
    Keyword("CALBLOCK", "text", "", "calibration block"),
    Keyword("MJDFROM", "float", "d", "the master serves from then on, MJD TAI"),
    Keyword("MJDTO", "float", "d", "the master serves until then, MJD TAI"),
    Keyword("NSLICES", "int", "", "read-outs that each pixel is the mean of"),
    Keyword("NSNAPS", "int", "", "snaps of a visit that were added"),
    Keyword("RESAMPLE", "text", "", "how exposures were interpolated"),
    Keyword("PIXRATIO", "float", "", "pixel of the exposures over the stack's"),
    Keyword("NOISECOR", "float", "", "noise of large apertures over uncorrelated one"),
    Keyword("HOMOFWHM", "float", "arcsec", "FWHM that stars were brought to"),
    Keyword("HOMOBETA", "float", "", "exponent of their Moffat profile, 0: Gaussian"),
    Keyword("HOMONOIS", "float", "", "noise of a pixel after that over before"),
    Keyword("HOMOKEPT", "int", "", "images that were broader, and were kept so"),
    Keyword("MJDREF", "float", "d", "epochs are counted from here, MJD"),
    Keyword("FLUXFROM", "text", "", "factors of fluxes: keyword NAME, or table"),
    Keyword("PROPnn", "text", "", "card of the exposures, its rule, how it ended"),
    Keyword("LEFTnn", "text", "", "exposure left out, and why"),
    Keyword("NCOMBINE", "int", "", "frames combined"),
    Keyword("NLEFTOUT", "int", "", "frames left out as unfit"),
    Keyword("COMBINE", "text", "", "how each pixel was estimated"),
    Keyword("LEVEL", "float", "electron", "median level of the frames"),
    Keyword("LEVELMIN", "float", "electron", "lowest level of the frames"),
    Keyword("LEVELMAX", "float", "electron", "highest level of the frames"),
    Keyword("FLATNORM", "text", "", "what the flats were divided by"),
    Keyword("RELSENS", "float", "", "response relative to the focal plane"),
    Keyword("SENSRMS", "float", "", "rms of the cells about the smooth map"),
    Keyword("SENSORD", "int", "", "order of the Chebyshev polynomial"),
    Keyword("CHEBnn", "float", "", "coefficient of orders (y, x)"),
    Keyword("SKYLEVEL", "float", "electron", "median level of the sky"),
    Keyword("MASKED", "float", "", "fraction of the frame that is masked"),
    Keyword("NHOT", "int", "", "hot pixels"),
    Keyword("HOTLIMIT", "float", "electron/s", "a pixel of more dark is hot"),
    Keyword("NLOW", "int", "", "dead or low pixels"),
    Keyword("NHIGH", "int", "", "pixels of too high a response"),
    Keyword("NUNSTABL", "int", "", "pixels that do not repeat"),
    Keyword("NCOLUMN", "int", "", "columns with bad parts"),
    Keyword("NBAD", "int", "", "pixels that are bad in any way"),
    Keyword("QUANTVAR", "float", "electron2", "variance added by rounding SCIENCE", "SCIENCE, VARIANCE"),
    Keyword("CUTX", "int", "pixel", "first column of this cut-out, from 0"),
    Keyword("CUTY", "int", "pixel", "first row of this cut-out, from 0"),
    Keyword("BITnn", "text", "", "name of bit nn", "MASK"),
    Keyword("APERnn", "float", "pixel", "radius of aperture nn", "catalogue"),
    Keyword("NDETECT", "int", "", "detectors that were merged", "catalogue"),
    Keyword("DETLIST", "text", "", "their numbers", "catalogue"),
    Keyword("FILTFWHM", "float", "pixel", "width of the detection filter", "catalogue"),
    Keyword("HAZE", "float", "electron", "light of unseen sources per pixel", "catalogue"),
    Keyword("AUTOSTAR", "int", "", "stars that corrected flux_auto; 0: a profile", "catalogue"),
    Keyword("STARSIZE", "float", "pixel", "half-light radius of stars", "catalogue"),
    Keyword("STARSEEN", "int", "", "candidates for stars of the PSF", "catalogue"),
    Keyword("STARGOOD", "int", "", "of these accepted", "catalogue"),
    Keyword("PSFFWHM", "float", "pixel", "FWHM of the PSF's model", "catalogue"),
    Keyword("PSFMADE", "text", "", "PSF is of: stars, plane, neighbour, exposure, profile", "catalogue"),
    Keyword("PSFWINGS", "float", "", "unrest of the light in its wings", "catalogue"),
    Keyword("PSFFLUX", "bool", "", "light by PSF fits, else flux_auto", "catalogue"),
    Keyword("VARGAIN", "float", "", "variance that one unit of light adds", "catalogue"),
    Keyword("MAGSYS", "text", "", "scale of MAGZERO: AB, Vega, unknown", "catalogue"),
    Keyword("MAGFROM", "text", "", "solution that MAGZERO is of: joint or own", "catalogue"),
    Keyword("DEGREE", "int", "", "of the polynomial over a detector", "catalogue"),
    Keyword("FLDDEG", "int", "", "of the terms of an exposure", "catalogue"),
    Keyword("EXPOSURE", "int", "", "exposures of the joint solution", "catalogue"),
    Keyword("CHI2", "float", "", "of positions per degree of freedom", "catalogue"),
    Keyword("CONVERGE", "bool", "", "whether the joint solution settled", "catalogue"),
    Keyword("SOURCES", "int", "", "sources of the joint solution", "catalogue"),
    Keyword("CATALOG", "text", "", "published catalogue that the rows are of", "catalogue"),
    Keyword("CATSUM", "text", "", "checksum of all rows of that catalogue", "catalogue"),
    Keyword("WCSNOTE", "text", "", "why there are no sky positions", "catalogue"),
)

REFRESHED: dict[str, Keyword] = {name: keyword for name, keyword in KEYWORDS.items() if keyword.metric}
"""Keywords whose values come later; the primary header has room for their cards from the beginning."""
IDENTITY = ("SPICAKEY", "SPICAUNI", "SPICAPRO")
"""Keywords by which a product says what it is."""


SKY_ROOM = 72
"""Cards that SCIENCE has room for beside those of its first sky solution: a polynomial of degree 7 fits."""
_SKY = re.compile(
    r"WCSAXES|CTYPE[12]|CUNIT[12]|CRVAL[12]|CRPIX[12]|CDELT[12]|CROTA[12]|CD[12]_[12]|PC[12]_[12]|PC00[12]00[12]|PV[12]_\d+"
    r"|PROJP\d+|[AB]P?_ORDER|[AB]P?_\d+_\d+|[AB]_DMAX|LONPOLE|LATPOLE|RADEC?SYS|WAT[012]_\d{3}|WCSDIM"
)


def is_sky(card: str) -> bool:
    """Whether a card is part of a sky solution: a new solution takes the place of all of these."""
    return _SKY.fullmatch(card) is not None


def keyword(card: str) -> Keyword | None:
    """The declaration of a card's keyword; None for one that nobody declared (an outside task's own)."""
    return KEYWORDS.get(card) or KEYWORDS.get(re.sub(r"\d+$", "nn", card))


def comment(card: str) -> str:
    """What the comment of a card says, '' for a keyword that nobody declared."""
    found = keyword(card)
    return found.comment if found else ""

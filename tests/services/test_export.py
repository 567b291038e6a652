"""Products in the forms of other programs: what is written is what is there, and those programs agree with it."""

from __future__ import annotations

import csv
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.votable import parse_single_table
from astropy.table import Table
from astropy.wcs import WCS

from spica.core.columns import Catalogue
from spica.core.faults import DataFault, SetupFault
from spica.files import atomic, bintable
from spica.files.bintable import TableColumn
from spica.files.catalogues import read_catalogue
from spica.files.images import read_image
from spica.services import ingest, initialise, run, simulation
from spica.services.export import FORMS, export
from tests.support.survey import SKY, Small

SCENE = SKY | {"detectors": "1", "detector_size": "512,512", "density": "2500"}
UNIT = "demo-20261120-00010/1"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """Two exposures of one detector with hundreds of sources, reduced."""
    root = tmp_path_factory.mktemp("scene")
    small = Small(root / "survey", root / "sky")
    initialise.initialise(small.folder)
    simulation.simulate(small.sky, "demo", SCENE, small.folder)
    ingest.ingest(ingest.Order((str(small.sky / "raw"),)), small.folder)
    run.run(run.Order("night", executor="inprocess"), small.folder)
    return small


@pytest.fixture(scope="module")
def out(scene: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first exposure's detector in every form."""
    folder = tmp_path_factory.mktemp("out")
    for form in FORMS:
        assert export(folder, scene.folder, unit=UNIT, form=form).paths
    return folder


def one(folder: Path, ending: str) -> Path:
    (found,) = folder.glob(f"*{ending}")
    return found


@pytest.fixture(scope="module")
def sources(scene: Small) -> Catalogue:
    (path,) = (scene.folder / "products" / "sources").rglob("demo-20261120-00010_1_*.parquet")
    return read_catalogue(path)


def test_csv_has_every_value(out: Path, sources: Catalogue) -> None:
    with one(out, ".csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == len(sources) > 150
    assert [int(row["source_id"]) for row in rows] == sources["source_id"].tolist()
    assert np.array_equal([float(row["x"]) for row in rows], sources["x"])
    assert np.array_equal([float(row["flux_aper_2"]) for row in rows], sources["flux_aper"][:, 1])


def test_votable_has_every_column_with_its_description(out: Path, sources: Catalogue) -> None:
    table = parse_single_table(one(out, ".vot"))
    assert [field.name for field in table.fields] == list(sources.columns)
    for field, (name, values) in zip(table.fields, sources.columns.items(), strict=True):
        declared = sources.declaration(name)
        assert (field.ucd or "", field.description) == (declared.ucd, declared.meaning)
        assert np.array_equal(np.asarray(table.array[field.ID].data), values, equal_nan=values.dtype.kind == "f")
    assert {param.name: param.value for param in table.params}["EXPNAME"] == UNIT.partition("/")[0]


def test_fits_table_has_every_column(out: Path, sources: Catalogue) -> None:
    path = next(path for path in out.glob("*sources*.fits"))
    with fits.open(path, checksum=True) as file:
        data, header = file["SOURCES"].data, file["SOURCES"].header
        assert data.columns.names == list(sources.columns)
        for name, values in sources.columns.items():
            assert np.array_equal(data[name], values, equal_nan=values.dtype.kind == "f")
        assert header["EXPNAME"] == UNIT.partition("/")[0]
    assert Table.read(path)["x"].unit == "pix"


def test_ldac_counts_from_one_and_holds_the_header(out: Path, sources: Catalogue) -> None:
    with fits.open(one(out, ".ldac"), checksum=True) as file:
        assert [hdu.name for hdu in file] == ["PRIMARY", "LDAC_IMHEAD", "LDAC_OBJECTS"]
        text = "".join(line.ljust(80) for line in np.atleast_1d(file[1].data[0][0]).ravel())
        header = fits.Header.fromstring(text)
        data = file["LDAC_OBJECTS"].data
    assert np.array_equal(data["XWIN_IMAGE"], sources["x"] + 1)
    assert np.array_equal(data["YMAX_IMAGE"], sources["y_max"] + 1)
    assert np.array_equal(data["FLUX_AUTO"], sources["flux_auto"].astype(np.float32))
    assert header["EXPTIME"] == 30.0 or header["EXPTIME"] > 0
    bright = sources["snr"] > 20
    ra, dec = WCS(header).all_pix2world(data["XWIN_IMAGE"], data["YWIN_IMAGE"], 1)
    assert np.allclose(ra[bright], sources["ra"][bright], atol=1e-7)
    assert np.allclose(dec[bright], sources["dec"][bright], atol=1e-7)


def test_vignettes_are_the_pixels_above_the_background(scene: Small, out: Path, sources: Catalogue) -> None:
    (path,) = (scene.folder / "products" / "science").rglob("demo-20261120-00010_1_*.fits")
    image = read_image(path)
    stamps = fits.getdata(one(out, ".ldac"), "LDAC_OBJECTS")["VIGNET"]
    assert stamps.shape[1:] == (35, 35)
    inside = np.flatnonzero(
        (sources["mask_bits"] == 0)
        & (np.abs(sources["x_iso"] - 256) < 200)
        & (sources["y_iso"] > 40)
        & (sources["y_iso"] < 470)
    )
    for row in inside[:20]:
        x, y = round(float(sources["x_iso"][row])), round(float(sources["y_iso"][row]))
        assert stamps[row, 17, 17] == pytest.approx(image.pixels[y, x] - sources["background"][row], rel=1e-5, abs=1e-2)
    corner = int(np.argmin(sources["x_iso"]))
    assert (stamps[corner][:, 0] < -1e29).all()


def test_maps_are_the_planes_of_the_product(scene: Small, out: Path) -> None:
    (path,) = (scene.folder / "products" / "science").rglob("demo-20261120-00010_1_*.fits")
    image = read_image(path)
    assert image.variance is not None
    assert image.mask is not None
    pixels, weight, flag = (fits.getdata(one(out, f".{name}.fits")) for name in ("sci", "weight", "flag"))
    assert np.array_equal(pixels, np.nan_to_num(image.pixels, posinf=0, neginf=0))
    assert np.array_equal(flag, image.mask)
    assert (weight[(image.mask & 1) != 0] == 0).all()
    used = weight > 0
    assert used.mean() > 0.9
    assert np.allclose(weight[used] * image.variance[used], 1, rtol=1e-5)
    assert fits.getheader(one(out, ".weight.fits"))["CTYPE1"] == image.header["CTYPE1"]


def test_orders_that_cannot_be_carried_out(scene: Small, tmp_path: Path) -> None:
    with pytest.raises(SetupFault, match="there are ldac, votable"):
        export(tmp_path, scene.folder, unit=UNIT, form="xls")
    with pytest.raises(SetupFault, match="no product 'quicklook' for ldac"):
        export(tmp_path, scene.folder, unit=UNIT, kind="quicklook", form="ldac")
    own = scene.copy(tmp_path / "own")
    (path,) = (own.folder / "products" / "sources").rglob("demo-20261120-00010_1_*.parquet")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DataFault, match="other bytes than recorded"):
        export(tmp_path / "out", own.folder, unit=UNIT, form="csv")


def order(folder: Path, *words: str) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, errors="replace")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.astromatic
def test_source_extractor_finds_the_same_with_our_maps(out: Path, sources: Catalogue, tmp_path: Path) -> None:
    (tmp_path / "names").write_text("X_IMAGE\nY_IMAGE\nFLUX_AUTO\nFLAGS\nIMAFLAGS_ISO\n")
    (tmp_path / "kernel").write_text("CONV NORM\n1 2 1\n2 4 2\n1 2 1\n")
    program = shutil.which("source-extractor") or "sex"
    order(
        *(tmp_path, program, str(one(out, ".sci.fits")), "-c", "/dev/null", "-PARAMETERS_NAME", "names"),
        *("-FILTER_NAME", "kernel", "-WEIGHT_TYPE", "MAP_WEIGHT", "-WEIGHT_IMAGE", str(one(out, ".weight.fits"))),
        *("-FLAG_IMAGE", str(one(out, ".flag.fits")), "-CATALOG_TYPE", "FITS_1.0", "-CATALOG_NAME", "found.fits"),
        *("-STARNNW_NAME", "/dev/null", "-DETECT_THRESH", "3"),
    )
    found = fits.getdata(tmp_path / "found.fits", 1)
    clean = (sources["flags"] == 0) & (sources["snr"] > 30)
    distance = np.hypot(
        found["X_IMAGE"][:, None] - 1 - sources["x"][None, clean],
        found["Y_IMAGE"][:, None] - 1 - sources["y"][None, clean],
    )
    nearest = distance.argmin(axis=0)
    assert clean.sum() > 20
    near = distance.min(axis=0) < 1
    assert near.mean() > 0.9
    # Theirs is the light within the ellipse, ours that of the whole source.
    inside = (sources["flux_auto"] * sources["auto_fraction"])[clean][near]
    assert abs(np.median(found["FLUX_AUTO"][nearest[near]] / inside) - 1) < 0.03


@pytest.mark.astromatic
def test_swarp_takes_our_weights(out: Path, tmp_path: Path) -> None:
    program = shutil.which("SWarp") or "swarp"
    order(
        *(tmp_path, program, str(one(out, ".sci.fits")), "-c", "/dev/null", "-WEIGHT_TYPE", "MAP_WEIGHT"),
        *("-WEIGHT_IMAGE", str(one(out, ".weight.fits")), "-RESAMPLE", "N", "-SUBTRACT_BACK", "N", "-WRITE_XML", "N"),
    )
    pixels, weight = fits.getdata(one(out, ".sci.fits")), fits.getdata(one(out, ".weight.fits"))
    stacked, seen = fits.getdata(tmp_path / "coadd.fits"), fits.getdata(tmp_path / "coadd.weight.fits")
    used = weight > 0
    assert stacked.shape == pixels.shape
    assert np.allclose(stacked[used], pixels[used], rtol=1e-4, atol=1e-2)
    assert np.allclose(seen[used], weight[used], rtol=1e-3)
    assert (seen[~used] < 1e-6).all()


@pytest.mark.astromatic
def test_psfex_models_our_stars(out: Path, sources: Catalogue, tmp_path: Path) -> None:
    path = shutil.copy(one(out, ".ldac"), tmp_path / "x.ldac")
    order(tmp_path, "psfex", str(path), "-CHECKPLOT_TYPE", "NONE", "-CHECKIMAGE_TYPE", "NONE", "-WRITE_XML", "N")
    header = fits.getheader(tmp_path / "x.psf", 1)
    stars = (sources["flags"] == 0) & (sources["snr"] > 50)
    assert header["ACCEPTED"] > 10
    assert 0.7 < header["CHI2"] < 1.5
    assert header["PSF_FWHM"] == pytest.approx(np.median(sources["fwhm"][stars]), rel=0.2)


@pytest.mark.astromatic
def test_scamp_reads_our_catalogue(scene: Small, out: Path, tmp_path: Path) -> None:
    shutil.copy(one(out, ".ldac"), tmp_path / "x.ldac")
    reference = read_catalogue(scene.sky / "reference.parquet")
    columns = [
        TableColumn(name, np.asarray(values, kind))
        for name, values, kind in (
            ("X_WORLD", reference["ra"], np.float64),
            ("Y_WORLD", reference["dec"], np.float64),
            ("ERRA_WORLD", np.full(len(reference), 0.02 / 3600), np.float32),
            ("ERRB_WORLD", np.full(len(reference), 0.02 / 3600), np.float32),
            ("MAG", reference["mag_r"], np.float32),
            ("MAGERR", np.full(len(reference), 0.01), np.float32),
            ("OBSDATE", np.full(len(reference), 2026.9), np.float64),
        )
    ]
    head = "".join(line.ljust(80) for line in ("SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0", "END"))
    card = TableColumn("Field Header Card", np.array([[head[at : at + 80] for at in range(0, len(head), 80)]], "S80"))
    made = bintable.primary() + bintable.table("LDAC_IMHEAD", [card]) + bintable.table("LDAC_OBJECTS", columns)
    atomic.write_bytes(tmp_path / "reference.cat", made)
    said = order(
        *(tmp_path, "scamp", "x.ldac", "-ASTREF_CATALOG", "FILE", "-ASTREFCAT_NAME", "reference.cat"),
        *("-CHECKPLOT_TYPE", "NONE", "-WRITE_XML", "N", "-SN_THRESHOLDS", "10,100", "-CROSSID_RADIUS", "2"),
        *("-DISTORT_DEGREES", "1", "-SOLVE_PHOTOM", "N", "-PIXSCALE_MAXERR", "1.05", "-POSANGLE_MAXERR", "1"),
    )
    assert "detections loaded" in said
    assert "CRVAL1" in (tmp_path / "x.head").read_text()

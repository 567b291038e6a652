"""Small pictures of products: what is bright is bright where it is, what is masked has its colour, nothing is stale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Pillow

from spica.core.faults import DataFault, SetupFault
from spica.core.images import Image
from spica.core.jobs import ProductRecord
from spica.core.mask import Mask
from spica.core.records import Grain, Unit
from spica.core.streams import Band
from spica.core.task import Form
from spica.files.checksums import of_file
from spica.files.images import FileRows, ImageSink, open_rows, write_image
from spica.files.pictures import write_png
from spica.files.survey import Survey
from spica.services.thumbnailing import ThumbnailsOrder, thumbnails
from spica.services.thumbnails import planes_of, small, thumbnail
from spica.services.thumbnails.looks import LEGEND, NOTHING, PIXELS, ZERO, Look
from tests.support.survey import SCIENCE, Small
from tests.support.terminal import Terminal

NY, NX = 210, 330
GUIDE = Path(__file__).parents[2] / "docs" / "pictures.md"


def seen(path: Path) -> npt.NDArray[np.uint8]:
    """A picture as Pillow reads it, row 0 at the bottom."""
    with Pillow.open(path) as picture:
        return np.asarray(picture)[::-1]


@pytest.fixture
def survey(tmp_path: Path) -> Survey:
    return Survey.create(tmp_path / "survey")


def sky(rng: np.random.Generator) -> Image:
    """Sky with noise, light in the corner of large x and small y, a box without value, and flags."""
    pixels = rng.normal(100.0, 5.0, (NY, NX)).astype(np.float32)
    pixels[:20, -20:] += 5000.0
    mask = np.zeros((NY, NX), np.int32)
    mask[150:, :60] = int(Mask.NO_DATA)
    pixels[150:, :60] = np.nan
    mask[100:130, 200:260] = int(Mask.SATURATED | Mask.DETECTED)
    mask[77, 33] = int(Mask.COSMIC)
    variance = np.full((NY, NX), 25.0, np.float32)
    variance[:, NX // 2 :] = 50.0
    variance[:, 150] = np.inf
    return Image(pixels, variance, mask)


def recorded(survey: Survey, name: str, image: Image, *, master: bool = False) -> ProductRecord:
    path = survey.root / "products" / name / f"{name}.fits"
    write_image(path, image, {"SPICAPRO": name})
    unit = Unit(Grain.DETECTOR, ("demo-1", "1"))
    relative = str(path.relative_to(survey.root))
    return ProductRecord(f"k/{name}", name, Form.IMAGE, unit, "k", relative, of_file(path), master=master)


def test_an_image_is_shown_as_it_lies(survey: Survey) -> None:
    product = recorded(survey, "science", sky(np.random.default_rng(1)))
    assert planes_of(survey, product) == ("pixels", "weight", "mask")
    made = thumbnail(survey, product, size=100)
    picture = seen(made.path).astype(int)
    assert picture.shape == (53, 83, 3), "squares of 4 pixels; those at the edge are smaller"
    corners = picture[:4, -4:], picture[:4, :4], picture[-4:, -4:]
    assert [corner.mean() > 200 for corner in corners] == [True, False, False]
    assert (picture[40:, :14] == NOTHING).all()
    assert not (picture[:35] == NOTHING).all(axis=2).any()
    assert made.png() == made.path.read_bytes()
    assert thumbnail(survey, product, size=100) == type(made)(made.unit, "science", PIXELS, made.path, made=False)
    again = made.png()
    made.path.unlink()
    assert thumbnail(survey, product, size=100).png() == again


def test_weights_are_grey_and_zero_has_a_colour(survey: Survey) -> None:
    product = recorded(survey, "science", sky(np.random.default_rng(2)))
    picture = seen(thumbnail(survey, product, "weight", 400).path).astype(int)
    assert picture.shape == (NY, NX, 3)
    assert (picture[160:, :50] == ZERO).all()
    assert (picture[:, 150] == ZERO).all()
    left, right = picture[:100, :140, 0].mean(), picture[:100, 180:, 0].mean()
    assert left / right == pytest.approx(2.0, rel=0.03)
    assert left == pytest.approx(255, abs=3)
    coarse = seen(thumbnail(survey, product, "weight", 100).path)
    assert not (coarse[:, 37] == ZERO).all(axis=1)[:30].any(), "one column of four is no half"


def test_bits_have_colours_and_a_lone_pixel_is_not_lost(survey: Survey) -> None:
    product = recorded(survey, "science", sky(np.random.default_rng(3)))
    picture = seen(thumbnail(survey, product, "mask", 100).path)
    assert (picture[38:, :15] == NOTHING).all()
    assert (picture[25:32, 50:65] == LEGEND[Mask.SATURATED]).all()
    assert tuple(picture[77 // 4, 33 // 4]) == LEGEND[Mask.COSMIC]
    assert set(LEGEND) == set(Mask)
    assert len({*LEGEND.values(), ZERO, (0, 0, 0)}) == len(Mask) + 2
    text = GUIDE.read_text()
    for bit, colour in LEGEND.items():
        assert f"| `{bit.name}` | #{bytes(colour).hex()} |" in text


def test_masters_are_linear_and_flags_are_white(survey: Survey) -> None:
    ramp = np.repeat(np.linspace(0.8, 1.2, 200, dtype=np.float32)[None], 100, axis=0)
    flat = seen(thumbnail(survey, recorded(survey, "flat", Image(ramp), master=True)).path)[50, :, 0].astype(float)
    assert np.abs(np.diff(flat[5:-5], 2)).max() <= 2
    assert (flat[0], flat[-1]) == (0, 255)
    hot = np.zeros((100, 300), np.float32)
    hot[70, 10] = 1
    shown = seen(thumbnail(survey, recorded(survey, "defects", Image(hot), master=True), size=30).path)
    assert np.argwhere(shown[..., 0] == 255).tolist() == [[7, 1]]
    assert np.count_nonzero(shown) == 3
    same = seen(thumbnail(survey, recorded(survey, "bias", Image(hot[:50]), master=True)).path)
    assert (same == 128).all()


def test_planes_of_a_stack_and_pictures(survey: Survey, tmp_path: Path) -> None:
    number = np.zeros((40, 40), np.int32)
    number[:, 20:] = 4
    planes = {"science": np.ones((40, 40), np.float32), "number": number}
    sink = ImageSink(survey.root / "stack.fits", (40, 40), {})
    sink.write(Band(0, planes))
    sink.close()
    unit = Unit(Grain.TILE_BAND, ("t", "r"))
    stack = ProductRecord("k/stack", "stack", Form.IMAGE, unit, "k", "stack.fits", of_file(survey.root / "stack.fits"))
    assert planes_of(survey, stack) == ("pixels", "number")
    picture = seen(thumbnail(survey, stack, "number").path)
    assert (picture[:, :20] == 0).all()
    assert (picture[:, 20:] == 255).all()
    with pytest.raises(SetupFault, match="has no 'weight' to show"):
        thumbnail(survey, stack, "weight")
    colours = np.zeros((90, 60, 3), np.uint8)
    colours[:30, :, 0] = 200
    write_png(survey.root / "colour.png", colours)
    product = ProductRecord("k/c", "colour", Form.PICTURE, unit, "k", "colour.png", of_file(survey.root / "colour.png"))
    shown = seen(thumbnail(survey, product, size=30).path)
    assert shown.shape == (30, 20, 3)
    assert (shown[:10] == (200, 0, 0)).all()
    assert not shown[10:].any()


def test_means_are_those_of_numpy_in_bounded_memory(survey: Survey, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    pixels = rng.normal(0.0, 1.0, (1000, 70)).astype(np.float32)
    pixels[rng.random(pixels.shape) < 0.3] = np.nan
    write_image(survey.root / "x.fits", Image(pixels), {}, lossless=True)
    asked: list[int] = []
    plain = FileRows.read

    def read(rows: FileRows, y0: int, y1: int, plane: str = "science") -> npt.NDArray[np.generic]:
        asked.append(y1 - y0)
        return plain(rows, y0, y1, plane)

    monkeypatch.setattr(FileRows, "read", read)
    made = small.small(open_rows(survey.root / "x.fits"), PIXELS, Look.SKY, 9)
    assert max(asked) <= 260
    assert made.shape == (112, 8)
    for j, i in ((0, 0), (28, 3), (111, 7)):
        part = pixels[9 * j : 9 * j + 9, 9 * i : 9 * i + 9]
        assert made[j, i] == pytest.approx(np.nanmean(part), abs=1e-5)


def test_another_product_has_another_picture_and_other_bytes_have_none(survey: Survey) -> None:
    image = sky(np.random.default_rng(6))
    before = thumbnail(survey, recorded(survey, "science", image))
    turned = Image(image.pixels[:, ::-1], image.variance, image.mask)
    product = recorded(survey, "science", turned)
    after = thumbnail(survey, product)
    assert after.path != before.path
    assert after.made
    assert seen(after.path)[:4, :4].mean() > 200
    path = survey.root / product.path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataFault, match=r"science\.fits .science of detector:demo-1/1. has other bytes") as told:
        thumbnail(survey, product, "mask")
    assert told.value.code == "file.corrupt"


def test_all_of_a_survey_on_one_sheet_and_what_is_corrupt_is_named(done: Small, tmp_path: Path) -> None:
    terminal = Terminal(done.folder)
    whole = terminal.ask("picture", "thumbnails", "--sheet", tmp_path / "all.png")
    kinds = [each["plane"] if each["plane"] == "mosaic" else each["product"] for each in whole["pictures"]]
    assert {"bias", "dark", "flat", "science", "mosaic", "quicklook", "focal_plane"} <= set(kinds)
    assert whole["problems"] == []
    [first, *_] = [each for each in whole["pictures"] if each["plane"] == "mosaic"]
    mosaic = seen(Path(first["path"]))
    names = [f"{SCIENCE[0]}/{number}" for number in (1, 2)]
    parts = [seen(Path(each["path"])) for name in names for each in whole["pictures"]
             if each["unit"] == f"detector:{name}" and (each["product"], each["plane"]) == ("science", "pixels")]  # fmt: skip
    # Detector 1 stands on the left, both as their pixels are: what is brightest in each is there in its half.
    for half, part in zip(np.array_split(mosaic, 2, axis=1), parts, strict=True):
        lights = [each.sum(axis=2, dtype=float) for each in (half, part)]
        bright = [np.argwhere(light >= np.quantile(light, 0.997)) / light.shape for light in lights]
        assert np.median(bright[0], axis=0) == pytest.approx(np.median(bright[1], axis=0), abs=0.1)
    lost = terminal.product(names[0], "science")
    lost.write_bytes(lost.read_bytes()[:-2880])
    for kept in (done.folder / "thumbnails").rglob("*.png"):
        kept.unlink()
    told = terminal.ask(
        *("picture", "thumbnails", f"exposure = '{SCIENCE[0]}'", "--kind", "science"),
        *("--out", tmp_path / "small", "--sheet", tmp_path / "some.html"),
        code=1,
    )
    assert [each["unit"] for each in told["pictures"]] == [f"detector:{names[1]}"]
    assert [(each["unit"], each["code"]) for each in told["problems"]] == [(f"detector:{names[0]}", "file.truncated")]
    assert [path.name for path in (tmp_path / "small").iterdir()] == [f"{SCIENCE[0]}_2_science.png"]
    page = (tmp_path / "some.html").read_text()
    assert page.count("data:image/png;base64,") == 1
    assert lost.name in page
    assert "http" not in page


@pytest.mark.parametrize(
    ("order", "what"),
    [
        (ThumbnailsOrder(where="band='r'", unit=SCIENCE[0]), "not by both"),
        (ThumbnailsOrder(size=8), "16 to 4096"),
        (ThumbnailsOrder(sheet=Path("x.jpg")), "ends in"),
        (ThumbnailsOrder(kind="stack"), "no image 'stack' of this survey"),
    ],
)
def test_what_cannot_be_is_told(reduced_once: Small, order: ThumbnailsOrder, what: str) -> None:
    with pytest.raises(SetupFault, match=what):
        thumbnails(reduced_once.folder, order)

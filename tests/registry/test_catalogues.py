"""Questions over many catalogues: the answer is that of numpy over the files read one by one."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spica.core.faults import DataFault, SetupFault
from spica.core.select import evaluate
from spica.core.task import Form
from spica.core.where import Both, Comparison, Either, Expression, Not, parse
from spica.registry.catalogues import Catalogues, Listed, Question, reading
from spica.registry.rowtests import condition
from spica.registry.store import Registry
from tests.registry import samples

ROWS = 40
FILES = 6


def columns(number: int, rows: int = ROWS) -> dict[str, npt.NDArray[Any]]:
    random = np.random.default_rng(number)
    snr = random.gamma(2.0, 20.0, rows).astype(np.float32)
    snr[:: 7 + number] = np.nan
    return {
        "source_id": random.integers(0, 1 << 62, rows),
        "snr": snr,
        "flux_auto": np.round(random.normal(100.0, 50.0, rows), 0),
        "flags": random.integers(0, 4, rows).astype(np.int32),
        "flux_aper": random.normal(100.0, 5.0, (rows, 3)),
        "word": np.array([f"it's {each}%\"!" for each in random.integers(0, 5, rows)]),
        "good": random.integers(0, 2, rows).astype(bool),
    }


def write(path: Path, values: dict[str, npt.NDArray[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        name: pa.array(array)
        if array.ndim == 1
        else pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), array.shape[1])
        for name, array in values.items()
    }
    pq.write_table(pa.table(arrays), path)


def listed(number: int) -> Listed:
    return Listed(
        f"part [{number}]*?/night=x{number}.parquet", f"demo-{number}", number % 3, "n", "gri"[number % 3], 1.0
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("it's a survey")
    for number in range(FILES):
        write(root / listed(number).path, columns(number))
    return root


@pytest.fixture(scope="module")
def asked(folder: Path) -> Iterator[Catalogues]:
    with reading(folder, [listed(number) for number in range(FILES)], folder / "spill") as opened:
        yield opened


@pytest.fixture(scope="module")
def whole() -> dict[str, npt.NDArray[Any]]:
    """All rows in the order of their files, with the facts and the values of the list."""
    parts = [columns(number) for number in range(FILES)]
    table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    table |= {f"flux_aper_{place + 1}": table["flux_aper"][:, place] for place in range(3)}
    table["band"] = np.repeat([listed(number).band for number in range(FILES)], ROWS)
    table["detector"] = np.repeat([listed(number).detector for number in range(FILES)], ROWS)
    return table


def answer(asked: Catalogues, question: Question) -> list[tuple[Any, ...]]:
    _, batches = asked.batches(question)
    return [row for batch in batches for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)]


numbers = st.one_of(st.integers(-3, 150), st.floats(-10, 150, width=32), st.sampled_from([1e300, -1e300, 1 << 70, 0.1]))
words = st.one_of(
    st.sampled_from(["it's 1%\"!", "it's _%\"!", "%'%", "!", "'; drop table x --", "$value_0"]), st.text()
)
TESTS = st.one_of(
    st.builds(
        Comparison,
        st.sampled_from(["snr", "flux_auto", "flags", "flux_aper_2", "detector", "source_id"]),
        st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
        numbers,
    ),
    st.builds(
        Comparison,
        st.sampled_from(["snr", "flux_auto", "flags"]),
        st.just("in"),
        st.tuples(st.integers(-3, 150), numbers),
    ),
    st.builds(Comparison, st.sampled_from(["snr", "flux_auto"]), st.just("between"), st.tuples(numbers, numbers)),
    st.builds(Comparison, st.sampled_from(["snr", "flags", "word"]), st.just("null"), st.none()),
    st.builds(Comparison, st.sampled_from(["word", "band"]), st.sampled_from(["=", "!=", "like"]), words),
    st.builds(Comparison, st.just("good"), st.sampled_from(["=", "!="]), st.booleans()),
)
TREES = st.recursive(
    TESTS,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(Both, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Either, st.lists(inner, min_size=1, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(tree=TREES)
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning", "ignore:Generating overly large repr")
def test_the_rows_are_those_that_numpy_selects(
    asked: Catalogues, whole: dict[str, npt.NDArray[Any]], tree: Expression
) -> None:
    expected = whole["source_id"][evaluate(tree, whole, ROWS * FILES)].tolist()
    with mock.patch("spica.registry.catalogues.parse", return_value=tree):
        assert [row[0] for row in answer(asked, Question(("source_id",), "a tree"))] == expected
        assert asked.count("a tree") == len(expected)


def test_columns_facts_and_lists(asked: Catalogues, whole: dict[str, npt.NDArray[Any]]) -> None:
    found = answer(asked, Question(("detector", "flux_aper_3", "flux_aper", "exposure", "night", "mjd")))
    assert [row[0] for row in found] == whole["detector"].tolist()
    assert [row[1] for row in found] == whole["flux_aper"][:, 2].tolist()
    assert [row[2] for row in found] == whole["flux_aper"].tolist()
    assert {row[3:] for row in found} == {(f"demo-{number}", "n", 1.0) for number in range(FILES)}


@pytest.mark.parametrize("sign", ["", "-"])
def test_sorted_rows_are_stable_and_absent_ones_come_last(
    asked: Catalogues, whole: dict[str, npt.NDArray[Any]], sign: str
) -> None:
    values = -whole["snr"] if sign else whole["snr"]
    order = np.lexsort((values, whole["flags"]))
    wanted = whole["source_id"][order].tolist()
    asking = Question(("source_id",), sort=("flags", f"{sign}snr"))
    assert [row[0] for row in answer(asked, asking)] == wanted
    assert [row[0] for row in answer(asked, Question(("source_id",), sort=asking.sort, limit=17))] == wanted[:17]


def test_ties_stay_in_the_order_of_their_files(asked: Catalogues, whole: dict[str, npt.NDArray[Any]]) -> None:
    found = [row[0] for row in answer(asked, Question(("source_id",), "flags = 1", ("band",), 50))]
    rows = np.flatnonzero(whole["flags"] == 1)
    assert found == whole["source_id"][rows[np.argsort(whole["band"][rows], kind="stable")]][:50].tolist()


def test_unsorted_limit_takes_the_first_rows(asked: Catalogues, whole: dict[str, npt.NDArray[Any]]) -> None:
    found = answer(asked, Question(("source_id",), limit=ROWS + 3))
    assert [row[0] for row in found] == whole["source_id"][: ROWS + 3].tolist()


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (Question(("flux_autos",)), "did you mean 'flux_auto'"),
        (Question(("snr",), "snt > 3"), "did you mean 'snr'"),
        (Question(("snr",), sort=("-fluxauto",)), "did you mean 'flux_auto'"),
        (Question(('snr" FROM x; --',)), "no column"),
        (Question(("SNR",)), "no column 'SNR'"),
        (Question(("flux_aper_0",)), "no column"),
        (Question(("snr",), "flux_aper > 3"), "write flux_aper_1"),
        (Question(("snr",), "snr = 'much'"), "is a number"),
        (Question(("snr",), "snr like '%'"), "is a number"),
        (Question(("snr",), "word = 3"), "quote the value"),
        (Question(("snr",), "good = 3"), "true or false"),
        (Question(("snr",), "snr = null"), "is null"),
        (Question(("snr",), f"flags < 1{'0' * 400}"), "no such number"),
        (Question(("snr",), "snr > 3; drop table x"), "cannot read"),
    ],
)
def test_what_cannot_be_asked_is_said(asked: Catalogues, question: Question, said: str) -> None:
    with pytest.raises(SetupFault, match=said) as caught:
        asked.batches(question)
    assert caught.value.code == "where.invalid"


def test_no_value_stands_in_the_statement() -> None:
    values: dict[str, Any] = {}
    tree = parse("word in ('zebra', 'x''; --') and word like 'zebra%' and snr between 4711 and 4712")
    assert tree is not None
    text = condition(tree, {"word": "VARCHAR", "snr": "FLOAT"}, values)
    assert "zebra" not in text
    assert "4711" not in text
    assert list(values.values()) == ["zebra", "x'; --", "zebra%", 4711, 4712]


def test_a_missing_file_is_named_with_its_unit(folder: Path) -> None:
    with (
        pytest.raises(DataFault, match="demo-99/0") as caught,
        reading(folder, [listed(0), listed(99)], folder / "spill"),
    ):
        pass
    assert caught.value.code == "file.missing"


@pytest.mark.parametrize("cut", ["all", "end", "page"])
def test_a_spoilt_file_is_named_with_its_unit(tmp_path: Path, cut: str) -> None:
    for number in range(3):
        write(tmp_path / listed(number).path, columns(number))
    path = tmp_path / listed(1).path
    whole = path.read_bytes()
    spoilt = {"all": b"", "end": whole[: len(whole) // 2], "page": b"PAR1" + b"\xff" * 400 + whole[404:]}[cut]
    path.write_bytes(spoilt)
    with (
        pytest.raises(DataFault, match="demo-1/1") as caught,
        reading(tmp_path, [listed(number) for number in range(3)], tmp_path / "spill") as opened,
    ):
        answer(opened, Question(("source_id", "snr", "word")))
    assert caught.value.code == "file.not-parquet"
    assert caught.value.evidence["unit"] == "demo-1/1"


def test_a_column_that_some_catalogues_lack_is_absent_there(tmp_path: Path) -> None:
    write(tmp_path / listed(0).path, {"x": np.arange(3.0)})
    write(tmp_path / listed(1).path, {"x": np.arange(3.0), "new": np.arange(3.0), "$fact_night": np.arange(3)})
    with reading(tmp_path, [listed(0), listed(1)], tmp_path / "spill") as opened:
        assert answer(opened, Question(("x", "new"), "new is null")) == [(0.0, None), (1.0, None), (2.0, None)]
        assert opened.count("new != 1") == 5
        assert answer(opened, Question(("$fact_night",), "new = 2")) == [(2,)]


def test_rows_come_in_batches_and_memory_stays_small(tmp_path: Path) -> None:
    many = [listed(number) for number in range(20)]
    for each in many:
        write(tmp_path / each.path, {"x": np.arange(20_000.0), "snr": np.arange(20_000.0)})
    with reading(tmp_path, many, tmp_path / "spill") as opened:
        before = pa.total_allocated_bytes()
        _, batches = opened.batches(Question(("x", "snr", "exposure"), "snr >= 0"))
        tracemalloc.start()
        rows = most = 0
        for batch in batches:
            rows += batch.num_rows
            most = max(most, batch.num_rows)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert rows == 400_000
    assert most < 20_000
    assert peak + pa.total_allocated_bytes() - before < 2_000_000


def test_the_newest_catalogue_of_each_detector_counts(registry: Registry) -> None:
    first, second = samples.exposure(1), samples.exposure(2, band="g")
    registry.add_many([samples.ingest(first, (0, 1)), samples.ingest(second, (0,))])
    for tag in ("old", "new"):
        registry.record_many(
            [samples.report(samples.detector_unit(first, number), tag) for number in (0, 1)], None, "me"
        )
    registry.record_many([samples.report(samples.detector_unit(second, 0))], None, "me")
    found = registry.catalogues("", "sources")
    assert [(each.exposure, each.detector, each.band) for each in found] == [
        (first.name, 0, "r"),
        (first.name, 1, "r"),
        (second.name, 0, "g"),
    ]
    newest = [registry.products_of(samples.detector_unit(first, number)) for number in (0, 1)]
    expected = [[made.path for made in each if made.form is Form.CATALOGUE][-1] for each in newest]
    assert [each.path for each in registry.catalogues("band = 'r'", "sources")] == expected
    assert registry.catalogues("band = 'z'", "sources") == []
    assert registry.catalogues("", "science") == []

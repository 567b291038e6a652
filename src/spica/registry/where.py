"""Selections (`spica.core.where`) as SQL conditions.

A test is true or false, never unknown, so that the same text selects the same rows here and in
`spica.core.select`: a value that is absent behaves as NaN does (no comparison holds, but ``!=`` does).
"""

from __future__ import annotations

import difflib
import math
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Double,
    and_,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
)

from spica.core.faults import SetupFault
from spica.core.records import Grain
from spica.core.where import Both, Comparison, Either, Expression, Not, names, parse
from spica.registry.schema import detectors, exposures, grades, metric_names, metrics
from spica.registry.slices import Slices
from spica.registry.text import Words

_HIDDEN = {"unit", "defaulted", "extra", "digest", "recorded"}
EXPOSURE_COLUMNS: dict[str, ColumnElement[Any]] = {
    "exposure": exposures.c.name,
    **{column.name: column for column in exposures.c if column.name not in _HIDDEN},
    "slices": Slices(exposures.c.extra),
}
DETECTOR_COLUMNS: dict[str, ColumnElement[Any]] = {name: detectors.c[name] for name in ("detector", "nx", "ny", "file")}
GRADE = "grade"
_NARROWING = {"=", "in", "between", "like"}
_FEW = 20_000
"""So many units are quicker listed than looked up one by one."""
_COMPARE = {
    "=": lambda column, value: column == value,
    "!=": lambda column, value: column != value,
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
    "in": lambda column, value: column.in_(value),
    "between": lambda column, value: column.between(*value),
}


def of_detectors(connection: Connection, selection: str) -> ColumnElement[bool] | None:
    """Condition on ``detectors join exposures``; None for an empty selection."""
    tree = parse(selection)
    return None if tree is None else _Builder(connection, tree).whole(tree)


def of_walk(connection: Connection, selection: str, metric: int, limit: int) -> ColumnElement[bool] | None:
    """Condition on ``detectors join exposures`` for a walk along a metric's values that ends after `limit` detectors.

    None where the walk would look at more detectors than the narrowest test finds, as far as the tests are independent
    of one another, or where a test of an exposure's column narrows the search.
    """
    tree = parse(selection)
    if tree is None:
        return true()
    builder = _Builder(connection, tree)
    tests = [part for part in (tree.parts if isinstance(tree, Both) else (tree,)) if isinstance(part, Comparison)]
    if any(test.name in EXPOSURE_COLUMNS and test.operator in _NARROWING for test in tests):
        return None
    found = [builder.count(test, None) for test in tests if builder.countable(test)]
    if found:
        held = select(func.count()).where(metrics.c.name == metric, metrics.c.value.is_not(None))
        total = max(connection.execute(held).scalar_one(), 1)
        if limit > math.prod(min(1.0, each / total) for each in found) * min(found):
            return None
    return builder.build(tree)


def of_exposures(connection: Connection, selection: str) -> ColumnElement[bool] | None:
    """Condition on ``exposures``: an exposure is taken when the selection takes it or any of its detectors."""
    tree = parse(selection)
    if tree is None:
        return None
    builder = _Builder(connection, tree)
    condition = builder.whole(tree)
    if not builder.fine:
        return condition
    taken = select(detectors.c.exposure).join_from(detectors, exposures, exposures.c.id == detectors.c.exposure)
    return exposures.c.id.in_(taken.where(condition).correlate(None))


def order_column(name: str) -> ColumnElement[Any]:
    """The exposure column to sort by; SetupFault ``where.invalid`` for an unknown one."""
    if name not in EXPOSURE_COLUMNS:
        raise unknown(name, EXPOSURE_COLUMNS)
    return EXPOSURE_COLUMNS[name]


def unknown(name: str, known: Any) -> SetupFault:
    """The fault for a name that is neither column nor metric."""
    near = difflib.get_close_matches(name, list(known), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return SetupFault(
        "where.invalid",
        f"nothing is called {name!r}: it is neither a column nor a recorded metric{hint}",
        column=name,
        nearest=near[0] if near else "",
    )


class _Builder:
    """Builds the condition of one tree; `fine` when it tests something finer than an exposure."""

    def __init__(self, connection: Connection, tree: Expression) -> None:
        self.connection = connection
        self.leading: set[Comparison] = set()
        wanted = set(names(tree))
        self.fine = bool(wanted & DETECTOR_COLUMNS.keys())
        self.metrics: dict[str, dict[str, int]] = {}
        left = wanted - EXPOSURE_COLUMNS.keys() - DETECTOR_COLUMNS.keys() - {GRADE}
        if not left:
            return
        for number, name, grain in connection.execute(
            select(metric_names.c.id, metric_names.c.name, metric_names.c.grain)
        ):
            if grain in {Grain.DETECTOR.value, Grain.EXPOSURE.value}:
                self.metrics.setdefault(name, {})[grain] = number
        for name in left:
            if name not in self.metrics:
                raise unknown(name, {*EXPOSURE_COLUMNS, *DETECTOR_COLUMNS, GRADE, *self.metrics})
        self.fine = self.fine or any(Grain.DETECTOR.value in self.metrics[name] for name in left)

    def whole(self, tree: Expression) -> ColumnElement[bool]:
        """Condition of the whole tree, having chosen which metric leads the search."""
        parts = tree.parts if isinstance(tree, Both) else (tree,)
        tests = [part for part in parts if isinstance(part, Comparison)]
        wide: dict[Comparison, int] = {}
        narrowed = any(test.name in EXPOSURE_COLUMNS and test.operator in _NARROWING for test in tests)
        for test in tests:
            if not self.countable(test):
                continue
            if self.count(test, _FEW + 1) <= _FEW:
                self.leading.add(test)
            else:
                wide[test] = 0
        if wide and not narrowed and not self.leading:
            self.leading.add(min(wide, key=lambda test: self.count(test, None)))
        return self.build(tree)

    def countable(self, test: Comparison) -> bool:
        """Whether a comparison is of a metric and finds what lies together in the index."""
        return test.name in self.metrics and test.operator not in {"null", "!="}

    def count(self, test: Comparison, limit: int | None) -> int:
        """How many values a comparison finds, counted no further than `limit` (in the index alone)."""
        numbers = self.metrics[test.name].values()
        found = select(metrics.c.unit).where(metrics.c.name.in_(numbers), compare(test, metrics.c.value)).limit(limit)
        return self.connection.execute(select(func.count()).select_from(found.subquery())).scalar_one()

    def build(self, tree: Expression) -> ColumnElement[bool]:
        """Condition of a part of the tree."""
        match tree:
            case Not(inner=inner):
                return not_(self.build(inner))
            case Both(parts=parts):
                return and_(true(), *(self.build(part) for part in parts))
            case Either(parts=parts):
                return or_(false(), *(self.build(part) for part in parts))
            case Comparison(name=name):
                column = EXPOSURE_COLUMNS.get(name)
                if column is None:
                    column = DETECTOR_COLUMNS.get(name)
                if column is not None:
                    return _on_column(tree, column)
                return self._on_grade(tree) if name == GRADE else self._on_metric(tree)

    def _on_metric(self, test: Comparison) -> ColumnElement[bool]:
        """A metric of the detector itself or of its exposure."""
        if test.operator == "null":
            return not_(self._holding(test, metrics.c.value.is_not(None)))
        if test.operator == "!=":
            return not_(self._holding(test, compare(Comparison(test.name, "=", test.value), metrics.c.value)))
        return self._holding(test, compare(test, metrics.c.value))

    def _holding(self, test: Comparison, condition: ColumnElement[bool]) -> ColumnElement[bool]:
        """Listed from the index of values where this test leads the search, else looked up unit by unit."""
        places = {Grain.DETECTOR.value: detectors.c.unit, Grain.EXPOSURE.value: exposures.c.unit}
        found = []
        for grain, number in self.metrics[test.name].items():
            values = select(metrics.c.unit).where(metrics.c.name == number, condition)
            place = places[grain]
            owner = place.table
            found.append(
                place.in_(values)
                if test in self.leading
                else values.where(metrics.c.unit == place).correlate(owner).exists()
            )
        return or_(*found)

    def _on_grade(self, test: Comparison) -> ColumnElement[bool]:
        """The exposure's last grade."""
        last = select(func.max(grades.c.id)).group_by(grades.c.unit)
        graded = select(grades.c.unit).where(grades.c.id.in_(last))
        if test.operator == "null":
            return exposures.c.unit.not_in(graded)
        if test.operator == "!=":
            return exposures.c.unit.not_in(
                graded.where(compare(Comparison(test.name, "=", test.value), grades.c.grade))
            )
        return exposures.c.unit.in_(graded.where(compare(test, grades.c.grade)))


def _on_column(test: Comparison, column: ColumnElement[Any]) -> ColumnElement[bool]:
    if test.operator == "null":
        return column.is_(None)
    condition = compare(test, column)
    if not getattr(column, "nullable", False):
        return condition
    return or_(column.is_(None), condition) if test.operator == "!=" else and_(column.is_not(None), condition)


def compare(test: Comparison, column: ColumnElement[Any]) -> ColumnElement[bool]:
    """One comparison; a value of the wrong type is ``where.invalid`` (the databases disagree about those)."""
    values = test.value if isinstance(test.value, tuple) else (test.value,)
    wordy = isinstance(column.type, Words)
    for value in values:
        if value is None:
            raise SetupFault("where.invalid", f"{test.name}: write '{test.name} is null'", column=test.name)
        if isinstance(value, str) != wordy:
            kind = "text: quote the value" if wordy else "a number"
            raise SetupFault(
                "where.invalid", f"{test.name} {test.operator} {value!r}: {test.name} is {kind}", column=test.name
            )
    if test.operator == "like":
        if not wordy:
            raise SetupFault("where.invalid", f"{test.name} is a number: 'like' compares texts", column=test.name)
        # Any character may stand for 'escape'; doubled it means itself, so that only % and _ are special.
        return column.like(str(test.value).replace("!", "!!"), escape="!")
    given = tuple(_number(value) if isinstance(value, int | float) else value for value in values)
    single = test.operator not in {"in", "between"}
    condition: ColumnElement[bool] = _COMPARE[test.operator](column, given[0] if single else given)
    return condition


def _number(value: float) -> ColumnElement[Any]:
    """A number with its own type: cast to that of an integer column, 1.5 would become 2."""
    if value == int(value) and abs(value) < 1 << 63:
        return literal(int(value), BigInteger())
    return literal(float(value), Double())

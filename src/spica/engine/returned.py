"""A task must return what it declares: names, forms, types of pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spica.core.columns import Catalogue
from spica.core.faults import InternalFault
from spica.core.images import Image
from spica.core.outline import Outline
from spica.core.records import Unit
from spica.core.streams import Banded, Parts
from spica.core.task import Form, Give, Measured
from spica.pipelines.model import Step


def checked(step: Step, given: Any) -> Mapping[str, Any]:
    """The products of a step, if they are what its task declares.

    Raises
    ------
    InternalFault
        ``internal.bad-return`` naming the step, the product and what is wrong with it.
    """
    gives = step.task.gives
    if not isinstance(given, Mapping):
        raise _bad(step, f"returned {type(given).__name__} instead of a mapping of products")
    expected = {give.name for give in gives}
    if set(given) != expected:
        raise _bad(step, f"returned {sorted(map(str, given))}, declared are {sorted(expected)}")
    for give in gives:
        wrong = _wrong(give, given[give.name])
        if wrong:
            raise _bad(step, f"its product {give.name!r} {wrong}")
    return given


def _bad(step: Step, what: str) -> InternalFault:
    return InternalFault(
        "internal.bad-return", f"step {step.label!r} (task {step.task.name!r}) {what}", step=step.label
    )


def _wrong(give: Give, value: Any) -> str:
    """What is wrong with a product, '' if nothing is."""
    kind = type(value).__name__
    right, wanted = True, ""
    match give.form:
        case Form.IMAGE:
            return _wrong_image(give, value)
        case Form.CATALOGUE:
            kind_wanted = Parts if give.stream else Catalogue
            right, wanted = isinstance(value, kind_wanted), kind_wanted.__name__
        case Form.METRICS:
            right = isinstance(value, Mapping) and all(isinstance(item, Measured) for item in value.values())
            wanted = "mapping of names to Measured"
        case Form.OUTLINE:
            right, wanted = _is_outline(value), "outline: a mapping of ra and dec to three vertices or more"
        case Form.VALUE:
            right, wanted = isinstance(value, Mapping), "mapping"
        case Form.PICTURE:
            right, wanted = isinstance(value, np.ndarray) and value.dtype == np.uint8, "array of uint8"
        case Form.MEMORY:
            pass
    return "" if right else f"is a {kind}, no {wanted}"


def _is_outline(value: Any) -> bool:
    try:
        Outline.of(Unit.parse("any"), value)
    except (AttributeError, TypeError, ValueError):
        return False
    return True


def _wrong_image(give: Give, value: Any) -> str:
    if give.stream:
        return "" if isinstance(value, Banded) else f"is a {type(value).__name__}, no Banded"
    if not isinstance(value, Image):
        return f"is a {type(value).__name__}, no Image"
    if value.pixels.dtype != np.float32:
        return f"has pixels of {value.pixels.dtype}, not float32"
    for name, plane in (("variance", value.variance), ("mask", value.mask)):
        if plane is not None and plane.shape != value.pixels.shape:
            return f"has a {name} of shape {plane.shape}, its pixels have {value.pixels.shape}"
    return ""

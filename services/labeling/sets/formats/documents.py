"""One JSON document that holds the labels of many images: COCO's, Label Studio's."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.errors import UserError
from services.labeling.sets.formats.packages import MAX_JSON_BYTES, Package


def read_document(package: Package, name: str) -> Any:
    """UserError for what is too large, too deep, or no JSON."""
    try:
        return json.loads(package.read(name, MAX_JSON_BYTES))
    except RecursionError:
        raise UserError(f"{name} is nested too deep") from None
    except ValueError as error:
        raise UserError(f"{name} cannot be read: {str(error)[:200]}") from error


def find_mappings(document: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The list called `name`, without what is no object in it."""
    found = document.get(name)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def finite_numbers(value: object, *, at_least: int = 0) -> list[float] | None:
    """A list of finite numbers; None for anything else, and where there are too few."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) < at_least:
        return None
    if not all(isinstance(part, int | float) and not isinstance(part, bool) for part in value):
        return None
    try:
        numbers = [float(part) for part in value]
    except OverflowError:
        return None
    return numbers if all(math.isfinite(number) for number in numbers) else None

"""What a Label Studio says a person did, read as one of our annotations.

Nothing in it is checked over there, and nothing in it raises here: what cannot be used is named in
`problems`. What is not understood is never a negative: only an empty list of regions is.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import JsonValue

from pipeline.annotations import Annotation, AnnotationStatus, Origin, Shape
from services.labeling.receiving.shapes import Problems, Region, read_shapes
from services.labeling.studio.protocol import StudioTask

MAX_RESULT_BYTES = 5_000_000
MAX_REGIONS = 10_000
MAX_DEPTH = 32  # a region of Label Studio's has 6; JSON deeper than 200 could not be read back
MAX_NAME_CHARACTERS = 200
UNKNOWN = "unknown"  # an author whom nobody names
_BITS = 1023  # of the largest whole number that a float can be
_CREATED_BY = re.compile(r"(\S+@[^\s,]+), (\d+)\s*$")  # "Ann Two ann2@example.com, 2"
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class ImageFacts:
    """The stored image, its sides in pixels."""

    id: str
    width: int
    height: int


@dataclass(frozen=True)
class _Author:
    """`identity` is the same whether the server tells a number or a person; `name` is to show."""

    identity: str
    name: str


def interpret(
    image: ImageFacts, project: str, task: StudioTask, raw: Mapping[str, Any]
) -> Annotation:
    """`raw`: an annotation as Label Studio gives it. The same one gives the same revision."""
    problems = Problems()
    result = _keep_result(raw.get("result"), problems)
    status, shapes = _judge(image, raw, result, problems)
    author = _read_author(raw)
    updated_at = _read_time(raw.get("updated_at"))
    if updated_at is None:
        problems.add("its time is not one: its task's is used")
        updated_at = task.updated_at
    annotation = Annotation(
        image=image.id,
        revision="",
        status=status,
        author=author.name,
        created_at=_read_time(raw.get("created_at")) or updated_at,
        updated_at=updated_at,
        lead_time_s=_read_lead_time(raw.get("lead_time"), problems),
        ground_truth=_is_set(raw.get("ground_truth")),
        width=image.width,
        height=image.height,
        shapes=shapes,
        origin=Origin(
            project=project,
            task=task.id,
            annotation=_read_number(raw, result, problems),
            from_prediction=_find_model(task, raw.get("parent_prediction")),
        ),
        result=result,
    )
    return annotation.model_copy(
        update={
            "revision": _name_revision(annotation, author.identity),
            "problems": problems.listed(),
        }
    )


def deletion_of(last: Annotation, at: datetime) -> Annotation:
    """The revision that says that `last` is gone over there; what it said stays in its own.

    It is later than `last` whatever the clocks say, and of what is deleted it is `last` itself.
    """
    if last.status is AnnotationStatus.DELETED:
        return last
    deleted = last.model_copy(
        update={
            "status": AnnotationStatus.DELETED,
            "updated_at": max(at, last.updated_at + timedelta(microseconds=1)),
            "shapes": (),
            "problems": (),
            "result": (),
        }
    )
    return deleted.model_copy(update={"revision": _name_revision(deleted, last.author)})


def date_later(annotation: Annotation, at: datetime) -> Annotation:
    """The revision that says the same at another time."""
    said = annotation.revision.rpartition("-")[2]
    revision = f"{_write_time(at)}-{said}"
    return annotation.model_copy(update={"updated_at": at, "revision": revision})


def say_the_same(revision: str, other: str) -> bool:
    """Whether two revisions differ by their time alone, by their names."""
    return revision.rpartition("-")[2] == other.rpartition("-")[2]


def _judge(
    image: ImageFacts, raw: Mapping[str, Any], result: tuple[Region, ...], problems: Problems
) -> tuple[AnnotationStatus, tuple[Shape, ...]]:
    given = raw.get("result")
    if _is_set(raw.get("was_cancelled")):
        if given:
            problems.add("it was skipped: what was drawn before is not used")
        return AnnotationStatus.SKIPPED, ()
    if isinstance(given, list | tuple) and not given:
        return AnnotationStatus.NEGATIVE, ()
    shapes = read_shapes(result, image.width, image.height, problems)
    return AnnotationStatus.LABELLED if shapes else AnnotationStatus.UNUSABLE, shapes


def _keep_result(given: object, problems: Problems) -> tuple[Region, ...]:
    """The regions as received, as far as JSON has words for them; nothing where they are no list,
    or too many, too long, too deep."""
    if not isinstance(given, list | tuple):
        problems.add(f"its result is no list of regions but {type(given).__name__}")
        return ()
    regions = [region for region in given if isinstance(region, Mapping)]
    if len(regions) < len(given):
        problems.add(f"{len(given) - len(regions)} of its regions are no regions at all")
    if len(regions) > MAX_REGIONS:
        problems.add(f"it has more than {MAX_REGIONS:,} regions")
        return ()
    if any(_is_deep(region, MAX_DEPTH) for region in regions):
        problems.add(f"its regions are nested deeper than {MAX_DEPTH}")
        return ()
    kept = tuple(_keep_object(region) for region in regions)
    if sum(len(_write_canonical(region)) for region in kept) > MAX_RESULT_BYTES:
        problems.add(f"its regions take more than {MAX_RESULT_BYTES // 1_000_000} MB")
        return ()
    return kept


def _is_deep(value: object, left: int) -> bool:
    if isinstance(value, Mapping):
        return left == 0 or any(_is_deep(inner, left - 1) for inner in value.values())
    if isinstance(value, list | tuple):
        return left == 0 or any(_is_deep(inner, left - 1) for inner in value)
    return False


def _keep_object(given: Mapping[Any, Any]) -> dict[str, JsonValue]:
    return {_keep_text(str(name)): _keep(value) for name, value in given.items()}


def _keep(value: object) -> JsonValue:
    """NaN, infinity and whole numbers beyond any float become null, as what is read back."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= _BITS else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return _keep_object(value)
    if isinstance(value, list | tuple):
        return [_keep(inner) for inner in value]
    return _keep_text(str(value))


def _keep_text(text: str) -> str:
    """Half a surrogate pair has no place in UTF-8."""
    return text.encode(errors="replace").decode()


def _read_name(value: object) -> str:
    """A person's, a model's, an annotation's: short, on one line."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    if isinstance(value, int) and value.bit_length() > _BITS:
        return ""
    return _CONTROL_CHARACTERS.sub("", _keep_text(str(value))[:MAX_NAME_CHARACTERS]).strip()


def _read_author(raw: Mapping[str, Any]) -> _Author:
    """By e-mail address where it is told, else "user 2"; "unknown" where nobody is named."""
    given = raw.get("completed_by")
    number = _read_name(given.get("id") if isinstance(given, Mapping) else given)
    name = _read_name(given.get("email")) if isinstance(given, Mapping) else ""
    if not name:
        told = _CREATED_BY.search(_read_name(raw.get("created_username")))
        name = told[1] if told and told[2] == number else ""
    if not name:
        name = f"user {number}" if number.isdecimal() else number or UNKNOWN
    return _Author(number or name, name)


def _read_time(value: object) -> datetime | None:
    """None for what is no time; without a zone it is UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value[:64])
        except ValueError:
            return None
    if not isinstance(value, datetime) or not 1970 <= value.year < 9999:
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _read_lead_time(value: object, problems: Problems) -> float | None:
    if value is None:
        return None
    kept = _keep(value)
    if isinstance(kept, bool) or not isinstance(kept, int | float) or kept < 0:
        problems.add("its lead time is not one")
        return None
    return float(kept)


def _read_number(raw: Mapping[str, Any], result: tuple[Region, ...], problems: Problems) -> str:
    """An annotation's number over there."""
    number = _read_name(raw.get("id"))
    if number:
        return number
    problems.add("it has no number of its own: one was made from its contents")
    return f"unnumbered-{hashlib.sha256(_write_canonical(result)).hexdigest()[:8]}"


def _find_model(task: StudioTask, prediction: object) -> str:
    """The version of the model whose prediction was taken over; its number where it is gone."""
    number = _read_name(prediction)
    if not number:
        return ""
    versions = (
        _read_name(one.get("model_version"))
        for one in task.predictions
        if _read_name(one.get("id")) == number
    )
    return next(versions, "") or f"prediction {number}"


def _is_set(value: object) -> bool:
    return value is True or value == 1 or (isinstance(value, str) and value.lower() == "true")


def _name_revision(annotation: Annotation, author: str) -> str:
    """Its time and what it says; the author as the server numbers them."""
    said = [
        annotation.origin.annotation,
        annotation.status.value,
        list(annotation.result),
        annotation.ground_truth,
        author,
    ]
    digest = hashlib.sha256(_write_canonical(said)).hexdigest()
    return f"{_write_time(annotation.updated_at)}-{digest[:8]}"


def _write_time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%S%fZ}"


def _write_canonical(value: object) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()

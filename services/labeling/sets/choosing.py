"""Of all that people said of an image, what counts; and what did not, with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.annotations import USABLE, Annotation, AnnotationStatus
from services.labeling.sets.agreement import COMPARED, boxes_by_label, match_boxes


class ChoosingPolicy(StrEnum):
    """`agreed` takes an image only when a person checked it (ground truth), or when two people or
    more drew the same boxes with the same labels."""

    GROUND_TRUTH_OR_NEWEST = "ground-truth-or-newest"
    NEWEST = "newest"
    AGREED = "agreed"


class Reason(StrEnum):
    """Why an annotation was chosen, or why none was."""

    ONLY = "the only one"
    GROUND_TRUTH = "the ground truth"
    NEWEST = "the newest"
    AGREED = "its annotators agree"
    UNLABELLED = "nobody labelled it"
    DELETED = "its annotations were deleted"
    SKIPPED = "it was skipped"
    UNUSABLE = "its annotations are unusable"
    ALONE = "one annotator alone"
    DISAGREED = "its annotators disagree"


@dataclass(frozen=True)
class Choice:
    """`others` are those that could have been chosen and were not, newest first."""

    chosen: Annotation | None
    reason: Reason
    others: Sequence[Annotation] = ()


def choose(
    annotations: Iterable[Annotation],
    policy: ChoosingPolicy = ChoosingPolicy.GROUND_TRUTH_OR_NEWEST,
) -> Choice:
    """One of an image's annotations. Of each only its newest revision counts."""
    newest = newest_revisions(annotations)
    usable = [annotation for annotation in newest if annotation.status in USABLE]
    if not usable:
        return Choice(None, _say_why_none(newest))
    truths = [annotation for annotation in usable if annotation.ground_truth]
    if truths and policy is not ChoosingPolicy.NEWEST:
        return _pick(truths[0], Reason.GROUND_TRUTH, usable)
    if policy is ChoosingPolicy.AGREED:
        return _choose_agreed(usable)
    return _pick(usable[0], Reason.ONLY if len(usable) == 1 else Reason.NEWEST, usable)


def newest_revisions(annotations: Iterable[Annotation]) -> list[Annotation]:
    """One per annotation, the last changed first."""
    newest: dict[tuple[str, str], Annotation] = {}
    for annotation in annotations:
        key = (annotation.origin.project, annotation.origin.annotation)
        if key not in newest or _age(annotation) > _age(newest[key]):
            newest[key] = annotation
    return sorted(newest.values(), key=_age, reverse=True)


def match_exactly(one: Annotation, other: Annotation) -> bool:
    """Whether each box of one has its own of the same label in the other, and none is left; never
    where there is something without a box to compare."""
    if any(shape.kind not in COMPARED for shape in (*one.shapes, *other.shapes)):
        return False
    here, there = boxes_by_label(one), boxes_by_label(other)
    if here.keys() != there.keys():
        return False
    return all(
        len(boxes) == len(there[label]) == len(match_boxes(boxes, there[label]))
        for label, boxes in here.items()
    )


def _choose_agreed(usable: Sequence[Annotation]) -> Choice:
    if len({annotation.author for annotation in usable}) < 2:
        return Choice(None, Reason.ALONE, usable)
    if not all(match_exactly(usable[0], other) for other in usable[1:]):
        return Choice(None, Reason.DISAGREED, usable)
    return _pick(usable[0], Reason.AGREED, usable)


def _pick(chosen: Annotation, reason: Reason, usable: Sequence[Annotation]) -> Choice:
    return Choice(chosen, reason, [other for other in usable if other is not chosen])


def _say_why_none(newest: Sequence[Annotation]) -> Reason:
    statuses = {annotation.status for annotation in newest}
    if AnnotationStatus.UNUSABLE in statuses:
        return Reason.UNUSABLE
    if AnnotationStatus.SKIPPED in statuses:
        return Reason.SKIPPED
    return Reason.DELETED if statuses else Reason.UNLABELLED


def _age(annotation: Annotation) -> tuple[object, ...]:
    """A deletion comes after what was changed in the same instant."""
    is_deleted = annotation.status is AnnotationStatus.DELETED
    return (annotation.updated_at, is_deleted, annotation.revision)

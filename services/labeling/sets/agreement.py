"""How far people agree who looked at the same image: boxes matched by their overlap, per class.

Pairs are taken greedily, the best overlap first. A turned box and a polygon count by the upright
box around them; keypoints and brush strokes have none and are left out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from pipeline.annotations import USABLE, Annotation, AnnotationStatus, ShapeKind
from pipeline.records import BoundingBox
from services.labeling.receiving.interpretation import UNKNOWN

MATCHING_IOU = 0.5
AGREEING_SCORE = 0.8  # an image below it is one on which its annotators disagree
MAX_SHAPES = 500  # an annotation with more is not compared: the work grows with their square

COMPARED = frozenset({ShapeKind.BOX, ShapeKind.ROTATED_BOX, ShapeKind.POLYGON})


@dataclass(frozen=True)
class Tally:
    """Of `total` boxes that two people drew, how many have their counterpart. Both sides count."""

    matched: int = 0
    total: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.matched + other.matched, self.total + other.total)

    @property
    def score(self) -> float:
        """0 to 1; two people who both found nothing agree."""
        return self.matched / self.total if self.total else 1.0


@dataclass(frozen=True)
class ImageAgreement:
    """Of one image with two annotators or more, every pair of them compared."""

    classes: Mapping[str, Tally]

    @property
    def score(self) -> float:
        return sum(self.classes.values(), Tally()).score

    @property
    def is_disputed(self) -> bool:
        return self.score < AGREEING_SCORE


@dataclass(frozen=True)
class Agreement:
    """Over many images: `score` is the mean of theirs, None where none has two annotators."""

    images: int = 0
    disputed: int = 0
    score: float | None = None
    classes: Mapping[str, Tally] = field(default_factory=dict)


def match_boxes(
    some: Sequence[BoundingBox], others: Sequence[BoundingBox], iou: float = MATCHING_IOU
) -> list[tuple[int, int]]:
    """Which of `some` is which of `others`, by their places; each is in one pair at most."""
    overlaps = sorted(
        (-overlap, here, there)
        for here, one in enumerate(some)
        for there, other in enumerate(others)
        if (overlap := measure_iou(one, other)) >= iou
    )
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for _, here, there in overlaps:
        if here not in pairs and there not in taken:
            pairs[here] = there
            taken.add(there)
    return list(pairs.items())


def measure_iou(one: BoundingBox, other: BoundingBox) -> float:
    """Intersection over union, 0 to 1; of boxes without an area 0."""
    width = min(one.x2, other.x2) - max(one.x1, other.x1)
    height = min(one.y2, other.y2) - max(one.y1, other.y1)
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / (_area(one) + _area(other) - both)


def agree(annotations: Iterable[Annotation], iou: float = MATCHING_IOU) -> ImageAgreement | None:
    """Of one image's annotations, their newest revisions; of each author the newest one counts.
    None where fewer than two people said something that can be compared."""
    views = _newest_per_author(annotations)
    if len(views) < 2:
        return None
    classes: Counter[str] = Counter()
    matched: Counter[str] = Counter()
    for some, others in combinations([boxes_by_label(view) for view in views], 2):
        for label in some.keys() | others.keys():
            here, there = some.get(label, []), others.get(label, [])
            classes[label] += len(here) + len(there)
            matched[label] += 2 * len(match_boxes(here, there, iou))
    return ImageAgreement(
        {label: Tally(matched[label], classes[label]) for label in sorted(classes)}
    )


def summarise(images: Iterable[ImageAgreement | None]) -> Agreement:
    """Read once, kept nowhere; images that one person looked at do not count."""
    count, disputed, scores = 0, 0, 0.0
    classes: defaultdict[str, Tally] = defaultdict(Tally)
    for image in images:
        if image is None:
            continue
        count += 1
        disputed += image.is_disputed
        scores += image.score
        for label, tally in image.classes.items():
            classes[label] += tally
    return Agreement(count, disputed, scores / count if count else None, dict(classes))


def _newest_per_author(annotations: Iterable[Annotation]) -> list[Annotation]:
    newest: dict[str, Annotation] = {}
    for one in annotations:
        person = _name_person(one)
        is_newer = person not in newest or one.updated_at >= newest[person].updated_at
        if one.status in USABLE and is_newer:
            newest[person] = one
    return [newest[person] for person in sorted(newest) if _can_be_compared(newest[person])]


def _name_person(annotation: Annotation) -> str:
    """An e-mail address is one person's everywhere, a number one server's, and nobody named is
    somebody else each time."""
    author, origin = annotation.author, annotation.origin
    if "@" in author:
        return author
    nameless = origin.annotation if author in ("", UNKNOWN) else ""
    return f"{origin.project} {author} {nameless}"


def _can_be_compared(annotation: Annotation) -> bool:
    if annotation.status is AnnotationStatus.NEGATIVE:
        return True
    compared = sum(shape.kind in COMPARED for shape in annotation.shapes)
    return 0 < compared <= MAX_SHAPES


def boxes_by_label(annotation: Annotation) -> dict[str, list[BoundingBox]]:
    """Of what can be compared; the upright box around each."""
    boxes: defaultdict[str, list[BoundingBox]] = defaultdict(list)
    for shape in annotation.shapes:
        if shape.kind in COMPARED and (bounds := shape.bounds) is not None:
            boxes[shape.label].append(bounds)
    return dict(boxes)


def _area(box: BoundingBox) -> float:
    return (box.x2 - box.x1) * (box.y2 - box.y1)

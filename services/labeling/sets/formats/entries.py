"""The entries of a set, read from the object store a few ahead of who writes them."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from pydantic import ValidationError

from pipeline import keys
from pipeline.annotations import Annotation, AnnotationStatus
from pipeline.errors import ObjectMissing
from pipeline.records import Detections
from pipeline.storage import ObjectStore
from services.labeling.sets.choosing import Choice, ChoosingPolicy, choose
from services.labeling.sets.formats.fitting import Fitted, fit_shapes
from services.labeling.sets.formats.vocabulary import Entry, LabelFormat

_READERS = 8  # an S3 server answers several at once; a folder gains little
_AHEAD = 32  # images held at most

UNREADABLE = "an annotation of it in the object store cannot be read"
GONE = "the image is no longer in the object store"
OTHER_SIZE = "it was labelled in another size than it is stored in"
CORRUPT = "its bytes are not those that were stored"
NOTHING_LEFT = "it was labelled, and none of its shapes can be written"


@dataclass(frozen=True)
class ExportRequest:
    """Which annotations count, and as what they are written. `project`: those made there alone."""

    form: LabelFormat
    classes: tuple[str, ...]
    policy: ChoosingPolicy
    project: str | None
    with_images: bool


@dataclass(frozen=True)
class Collected:
    entry: Entry
    choice: Choice
    fitted: Fitted
    jpeg: bytes | None


@dataclass(frozen=True)
class LeftOut:
    """An image that is not in the set. `fitted` says why, where its shapes are the reason."""

    image: str
    reason: str
    fitted: Fitted | None = None


class Collector:
    def __init__(self, store: ObjectStore, request: ExportRequest) -> None:
        self._store = store
        self._request = request

    def collect(self, image: str) -> Collected | LeftOut:
        try:
            choice = choose(self._annotations(image), self._request.policy)
            if choice.chosen is None:
                return LeftOut(image, choice.reason)
            return self._gather(image, choice, choice.chosen)
        except ObjectMissing:
            return LeftOut(image, GONE)
        except (ValidationError, UnicodeDecodeError):
            return LeftOut(image, UNREADABLE)

    def _annotations(self, image: str) -> list[Annotation]:
        found = read_annotations(self._store, image)
        wanted = self._request.project
        return [one for one in found if wanted is None or one.origin.project == wanted]

    def _gather(self, image: str, choice: Choice, chosen: Annotation) -> Collected | LeftOut:
        known = Detections.model_validate_json(self._store.get(keys.detections(image)).data)
        if (known.width, known.height) != (chosen.width, chosen.height):
            return LeftOut(image, OTHER_SIZE)
        fitted = fit_shapes(chosen, self._request.classes, self._request.form)
        if chosen.status is AnnotationStatus.LABELLED and not (
            fitted.shapes or self._goes_as_received(chosen)
        ):
            return LeftOut(image, NOTHING_LEFT, fitted)
        jpeg = self._store.get(keys.stored_image(image)).data if self._request.with_images else None
        if jpeg is not None and hashlib.sha256(jpeg).hexdigest() != known.sha256_stored:
            return LeftOut(image, CORRUPT)
        return Collected(Entry(known, chosen, fitted.shapes), choice, fitted, jpeg)

    def _goes_as_received(self, chosen: Annotation) -> bool:
        return self._request.form is LabelFormat.LABEL_STUDIO and bool(chosen.result)


def read_annotations(store: ObjectStore, image: str) -> list[Annotation]:
    """Every revision of everybody's. ValidationError where one is no annotation."""
    found = (store.get(info.key).data for info in store.list(keys.annotations_folder(image)))
    return [Annotation.model_validate_json(data) for data in found]


def read_ahead(
    images: Iterable[str], collect: Callable[[str], Collected | LeftOut]
) -> Iterator[Collected | LeftOut]:
    """In the order of `images`; each once, and ids that are none are left out."""
    seen: set[str] = set()
    waiting: deque[Future[Collected | LeftOut]] = deque()
    with ThreadPoolExecutor(_READERS, "export") as readers:
        try:
            for image in images:
                if image in seen or not keys.is_image_id(image):
                    continue
                seen.add(image)
                waiting.append(readers.submit(collect, image))
                if len(waiting) >= _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            readers.shutdown(wait=False, cancel_futures=True)

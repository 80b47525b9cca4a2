"""Which of our images a label file speaks of: by its name, else by the image beside it."""

from __future__ import annotations

import hashlib
from typing import Protocol

from pydantic import ValidationError

from pipeline import keys
from pipeline.errors import ObjectMissing
from pipeline.records import Detections
from pipeline.storage import ObjectStore
from services.labeling.receiving.interpretation import ImageFacts
from services.labeling.sets.formats.packages import MAX_PICTURE_BYTES, Package
from services.labeling.sets.formats.pictures import guess_names
from services.labeling.sets.formats.vocabulary import FoundLabels

NO_IMAGE = "no image of ours has that name, nor is there one beside it"
UNKNOWN_BYTES = "no image of ours has that name, or the bytes of the image beside it"


class KnownImages(Protocol):
    """The images that are ours; what was erased is not."""

    def find(self, image: str) -> ImageFacts | None: ...

    def find_bytes(self, sha256: str) -> ImageFacts | None:
        """By the SHA-256 of the stored image, or of what was received."""
        ...


class StoredImages:
    """As the object store knows them. The first question by bytes reads every image's mark."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._by_bytes: dict[str, str] | None = None

    def find(self, image: str) -> ImageFacts | None:
        known = self._read(keys.detections(image))
        return None if known is None else ImageFacts(image, known.width, known.height)

    def find_bytes(self, sha256: str) -> ImageFacts | None:
        if self._by_bytes is None:
            self._by_bytes = self._read_all()
        image = self._by_bytes.get(sha256)
        return None if image is None else self.find(image)

    def _read_all(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for info in self._store.list(keys.DETECTIONS):
            known = self._read(info.key)
            if known is not None:
                found[known.sha256_stored] = known.provenance.id
                found[known.provenance.sha256_received] = known.provenance.id
        return found

    def _read(self, key: str) -> Detections | None:
        try:
            return Detections.model_validate_json(self._store.get(key).data)
        except (ObjectMissing, ValidationError):
            return None


def match(found: FoundLabels, package: Package, images: KnownImages) -> ImageFacts | str:
    """The image, or why there is none."""
    for name in guess_names(found.name):
        if keys.is_image_id(name) and (facts := images.find(name)) is not None:
            return facts
    if found.picture is None:
        return NO_IMAGE
    try:
        data = package.read(found.picture, MAX_PICTURE_BYTES)
    except ValueError as error:
        return f"the image beside it {error}"
    return images.find_bytes(hashlib.sha256(data).hexdigest()) or UNKNOWN_BYTES

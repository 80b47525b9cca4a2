"""What became of every image: counted from the listings of the buckets and the execution log."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256

from PIL import Image

from pipeline import keys
from pipeline.records import Detections, Policy
from pipeline.storage import ObjectStore
from services.maintenance.audit import audit
from tests.e2e.execution import Begun, ExecutionLog, begins_by_image, kept_images
from tests.e2e.faces import Faces
from tests.e2e.stack import Stack

# What maintenance says of an image whose detection it may have asked for.
ANNOUNCED = ("announced again", "not announced", "half-stored frame", "frame without a row")
BESIDE_PIXELS = ("exif", "xmp", "comment", "photoshop", "icc_profile")


@dataclass(frozen=True)
class Listing:
    """Image ids by prefix, as often as they are listed; and what is neither."""

    images: Counter[str]
    results: Counter[str]
    frames: Counter[str]  # 2 for a frame and its provenance
    dropped: Counter[str]  # likewise
    others: tuple[str, ...]

    @property
    def orphans(self) -> list[str]:
        """What belongs to nothing, once nothing is under way."""
        found = {
            "an image without its result": self.images - self.results,
            "a result without its image": self.results - self.images,
            "a frame left in raw": self.frames,
            "half of a dropped frame": [one for one, n in self.dropped.items() if n != 2],
            "not ours": self.others,
        }
        return [f"{what}: {one}" for what, ones in found.items() for one in sorted(ones)]


@dataclass
class Census:
    """Keeps in mind which images it has looked into, and how many faces were blurred in them."""

    stack: Stack
    log: ExecutionLog
    faces: Faces | None = None
    blurred: int = 0
    looked_into: set[str] = field(default_factory=set)
    received: dict[tuple[str, str], str] = field(default_factory=dict)

    def list_images(self) -> Listing:
        return list_buckets(self.stack.store())

    def list_kept(self, listing: Listing) -> set[str]:
        """What capture says it has kept; and what it had no time to say, being killed."""
        return kept_images(self.log.read("capture")) | set(listing.images)

    def assert_sound(self, listing: Listing) -> None:
        """Nothing doubled, nothing unblurred; the catalog equal to the store."""
        store = self.stack.store()
        assert {*listing.images.values(), *listing.results.values()} <= {1}
        for image in sorted(set(listing.images) - self.looked_into):
            self._look_into(store, image)
        assert self.faces is None or self.blurred, "no picture of people came through"
        with self.stack.catalog() as catalog:
            audited = audit(catalog, store)
        assert audited.is_sound, audited.found

    def _look_into(self, store: ObjectStore, image: str) -> None:
        """Made anew from pixels by detection, and this picture's alone."""
        result = Detections.model_validate_json(store.get(keys.detections(image)).data)
        jpeg = store.get(keys.stored_image(image)).data
        known = result.provenance
        assert known.id == image
        assert sha256(jpeg).hexdigest() == result.sha256_stored
        assert result.sha256_stored != known.sha256_received
        with Image.open(io.BytesIO(jpeg)) as picture:
            assert picture.format == "JPEG"
            assert not set(BESIDE_PIXELS) & set(picture.info)
        if known.policy is Policy.ANONYMISE:
            self._look_for_faces(result, jpeg)
        first = self.received.setdefault((known.source, known.sha256_received), image)
        assert first == image, f"the same bytes twice: {first} and {image}"
        self.looked_into.add(image)

    def _look_for_faces(self, result: Detections, jpeg: bytes) -> None:
        """None is found in what was stored; in what was received there are some: seen once."""
        known = result.provenance
        assert self.faces is not None, f"{known.id}: who asked for its faces?"
        left = self.faces.count(jpeg)
        assert not left, f"{known.id}: {left} faces in the open"
        assert self.blurred or self.faces.count_shown(known.sha256_received)
        self.blurred += result.blurred

    def count_repeats(self, images: set[str], since: float) -> int:
        """How often detection began again; each time for a reason that its message tells."""
        announced = self._announcements()
        repeats = 0
        begun = begins_by_image(self.log.read("detection", since=since))
        for image, begins in begun.items():
            assert_excused(image, begins, announced[image])
            repeats += (len(begins) - 1) * (image in images)
        unseen = images - set(begun)
        assert not unseen, f"results, and no task began: {sorted(unseen)[:5]}"
        return repeats

    def _announcements(self) -> Counter[str]:
        """How often maintenance said an image again. A broker that dies over a message may have
        taken it."""
        lines = self.log.read("maintenance")
        return Counter(str(line.get("image")) for line in lines if line.event in ANNOUNCED)


def list_buckets(store: ObjectStore) -> Listing:
    known = (keys.IMAGES, keys.DETECTIONS, keys.FRAMES, keys.DROPPED)
    found: dict[str, Counter[str]] = {prefix: Counter() for prefix in known}
    others = []
    for entry in store.list(""):
        prefix = next((one for one in known if entry.key.startswith(one)), None)
        if prefix is not None and keys.is_image_id(keys.image_of(entry.key)):
            found[prefix][keys.image_of(entry.key)] += 1
        elif not entry.key.startswith(keys.SOURCES):
            others.append(entry.key)
    images, results, frames, dropped = (found[prefix] for prefix in known)
    return Listing(images, results, frames, dropped, tuple(others))


def assert_excused(image: str, begins: list[Begun], announcements: int) -> None:
    """A message once, then only as redelivered or retried; further ones are maintenance's."""
    by_message: dict[str, list[Begun]] = {}
    for begun in begins:
        by_message.setdefault(begun.task_id, []).append(begun)
    assert len(by_message) <= 1 + announcements, f"{image}: announced without a reason"
    for same in by_message.values():
        again = [begun for begun in same[1:] if not (begun.redelivered or begun.retries)]
        assert not again, f"{image}: the same message again, and no redelivery or retry"

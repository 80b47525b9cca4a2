"""What lies in the object store, read from its listing alone."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline import keys
from pipeline.storage import ObjectStore

Revision = tuple[str, str]  # an image's id, and the revision of an annotation of it


@dataclass(frozen=True)
class Listed:
    """The ids below one prefix: with bytes, with a mark, and the keys that are no image's."""

    bytes_of: frozenset[str]
    marks_of: frozenset[str]
    others: frozenset[str]

    @property
    def ids(self) -> frozenset[str]:
        return self.bytes_of | self.marks_of


@dataclass(frozen=True)
class ListedAnnotations:
    """`newest`: of each image, the revision made last; `others`: keys that are no revision's."""

    revisions: frozenset[Revision]
    newest: frozenset[Revision]
    others: frozenset[str]


def list_ids(store: ObjectStore, prefix: str) -> Listed:
    with_bytes, with_mark, others = set(), set(), set()
    for entry in store.list(prefix):
        image = keys.image_of(entry.key)
        if not keys.is_image_id(image):
            others.add(entry.key)
        elif entry.key.endswith(".json"):
            with_mark.add(image)
        else:
            with_bytes.add(image)
    return Listed(frozenset(with_bytes), frozenset(with_mark), frozenset(others))


def list_annotations(store: ObjectStore) -> ListedAnnotations:
    revisions, newest, others = set(), dict[str, str](), set()
    for entry in store.list(keys.ANNOTATIONS):
        image, revision = keys.image_of(entry.key), keys.revision_of(entry.key)
        if not _is_annotation(entry.key, image, revision):
            others.add(entry.key)
            continue
        revisions.add((image, revision))
        newest[image] = max(newest.get(image, ""), revision)  # it begins with its time
    return ListedAnnotations(frozenset(revisions), frozenset(newest.items()), frozenset(others))


def _is_annotation(key: str, image: str, revision: str) -> bool:
    try:
        return key == keys.annotation(image, revision)
    except ValueError:
        return False

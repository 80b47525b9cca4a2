from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline import keys
from pipeline.catalog.labeling.tasks import Considered
from pipeline.records import Tombstone
from pipeline.storage import StoredObject, put_json
from services.maintenance.audit import Audit, Mismatch, audit
from tests.factories import MORNING, Wanted, make_image
from tests.revisions import HERE, THERE, revise, say
from traboule.workspace import Workspace, open_workspace

ANYTHING = StoredObject(b"anything", "application/octet-stream")
STRANGER = "elsewhere-20261121T091640Z-8be14bda"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    opened = open_workspace(tmp_path / "data")
    yield opened
    opened.close()


def look(workspace: Workspace) -> dict[Mismatch, tuple[str, ...]]:
    return dict(audit(workspace.catalog, workspace.store).found)


def make(workspace: Workspace, state: str) -> str:
    return make_image(workspace, Wanted(state=state, labels={"car": 1}))


def test_audit_of_what_agrees_is_sound_and_counts(workspace: Workspace) -> None:
    for minute, state in enumerate(("detected", "detected", "stored", "dropped")):
        make_image(workspace, Wanted(state=state, at=MORNING + timedelta(minutes=minute)))
    audited = audit(workspace.catalog, workspace.store)
    assert audited.is_sound, audited.found
    counts = {what: number for what, number in audited.counts.items() if number}
    assert counts == {
        "images/": 2,
        "detections/": 2,
        "raw/frames/": 1,
        "raw/dropped/": 1,
        "detected": 2,
        "stored": 1,
        "dropped": 1,
    }


@pytest.mark.parametrize(
    ("state", "key", "expected"),
    [
        ("detected", keys.stored_image, {Mismatch.IMAGE_MISSING, Mismatch.MARK_WITHOUT_IMAGE}),
        ("detected", keys.detections, {Mismatch.DETECTIONS_MISSING, Mismatch.IMAGE_WITHOUT_MARK}),
        ("stored", keys.frame, {Mismatch.FRAME_MISSING, Mismatch.MARK_WITHOUT_FRAME}),
        ("stored", keys.frame_mark, {Mismatch.FRAME_MISSING, Mismatch.FRAME_WITHOUT_MARK}),
        ("dropped", keys.dropped, {Mismatch.DROPPED_MISSING, Mismatch.MARK_WITHOUT_FRAME}),
        ("dropped", keys.dropped_mark, {Mismatch.DROPPED_MISSING, Mismatch.FRAME_WITHOUT_MARK}),
    ],
)
def test_audit_finds_a_lost_object(
    workspace: Workspace, state: str, key: object, expected: set[Mismatch]
) -> None:
    assert callable(key)
    image = make(workspace, state)
    workspace.store.delete(key(image))
    assert look(workspace) == dict.fromkeys(expected, (image,))


def test_audit_finds_an_image_without_a_row(workspace: Workspace) -> None:
    image = make(workspace, "detected")
    workspace.catalog.images.remove(image)
    assert look(workspace) == {Mismatch.WITHOUT_ROW: (image,)}


def test_audit_finds_a_frame_without_a_row(workspace: Workspace) -> None:
    workspace.store.put(keys.frame(STRANGER), ANYTHING)
    assert look(workspace) == {
        Mismatch.FRAME_WITHOUT_MARK: (STRANGER,),
        Mismatch.WITHOUT_ROW: (STRANGER,),
    }


def test_audit_finds_the_raw_frame_of_a_detected_image(workspace: Workspace) -> None:
    image = make(workspace, "detected")
    workspace.store.put(keys.frame(image), ANYTHING)
    workspace.store.put(keys.frame_mark(image), ANYTHING)
    assert look(workspace) == {Mismatch.FRAME_LEFT: (image,)}


def test_audit_finds_what_is_left_of_an_erased_image(workspace: Workspace) -> None:
    image = make(workspace, "detected")
    tombstone = Tombstone(
        id=image, source="quai-saone", sha256_received="ff", erased_at=MORNING, reason="asked"
    )
    put_json(workspace.store, keys.tombstone(image), tombstone.model_dump_json())
    assert look(workspace) == {Mismatch.ERASED_BUT_LEFT: (image,)}


def test_audit_finds_objects_that_are_not_ours(workspace: Workspace) -> None:
    workspace.store.put("images/holiday/beach.jpg", ANYTHING)
    assert look(workspace) == {Mismatch.NOT_OURS: ("images/holiday/beach.jpg",)}


def annotate(workspace: Workspace) -> tuple[str, str]:
    """An image and the key of what was said last of it, by the second of two people."""
    image = make(workspace, "detected")
    for one in (revise("5"), revise("6", at_s=1), revise("5", at_s=2), revise("6", at_s=3)):
        last = say(workspace.catalog, workspace.store, one.model_copy(update={"image": image}))
    return image, keys.annotation(image, last.revision)


def test_audit_of_annotations_that_agree_is_sound_and_counts(workspace: Workspace) -> None:
    annotate(workspace)
    audited = audit(workspace.catalog, workspace.store)
    assert audited.is_sound, audited.found
    assert audited.counts["annotations/"] == 4


def test_audit_finds_an_annotation_whose_object_is_gone(workspace: Workspace) -> None:
    image, last = annotate(workspace)
    workspace.store.delete(last)
    assert look(workspace) == {Mismatch.ANNOTATION_MISSING: (image,)}


def test_audit_finds_an_annotation_without_its_row(workspace: Workspace) -> None:
    image, _ = annotate(workspace)
    workspace.catalog.annotations.forget_image(image)
    assert look(workspace) == {Mismatch.ANNOTATION_WITHOUT_ROW: (image,)}


def test_audit_finds_a_row_that_shows_an_older_revision(workspace: Workspace) -> None:
    image, _ = annotate(workspace)
    newer = revise("5", at_s=4, image=image)
    text = newer.model_dump_json()
    put_json(workspace.store, keys.annotation(image, newer.revision), text)
    assert look(workspace) == {Mismatch.ANNOTATION_WITHOUT_ROW: (image,)}


def test_audit_finds_annotations_of_an_image_that_is_nowhere(workspace: Workspace) -> None:
    say(workspace.catalog, workspace.store, revise(image=STRANGER))
    assert look(workspace) == {Mismatch.ANNOTATION_WITHOUT_IMAGE: (STRANGER,)}


@pytest.mark.parametrize("what", ["object", "row", "task"])
def test_audit_finds_what_is_left_of_what_was_said_of_an_erased_image(
    workspace: Workspace, what: str
) -> None:
    tombstone = Tombstone(
        id=STRANGER, source="elsewhere", sha256_received="ff", erased_at=MORNING, reason="asked"
    )
    put_json(workspace.store, keys.tombstone(STRANGER), tombstone.model_dump_json())
    said = revise(image=STRANGER)
    if what == "object":
        put_json(workspace.store, keys.annotation(STRANGER, said.revision), said.model_dump_json())
    elif what == "row":
        workspace.catalog.annotations.record(said)
    else:
        about = Considered(STRANGER, "elsewhere", "")
        for project in (HERE, THERE):
            workspace.catalog.labeling.adopt(project, about, 1, MORNING)
    assert look(workspace)[Mismatch.ERASED_BUT_LEFT] == (STRANGER,)


@pytest.mark.parametrize(
    "key", ["annotations/notes.txt", f"annotations/{STRANGER}/a/b.json", f"annotations/{STRANGER}"]
)
def test_audit_finds_what_is_no_annotation(workspace: Workspace, key: str) -> None:
    workspace.store.put(key, ANYTHING)
    assert look(workspace) == {Mismatch.NOT_OURS: (key,)}


def test_audit_changes_nothing(workspace: Workspace) -> None:
    image = make(workspace, "detected")
    workspace.store.delete(keys.stored_image(image))
    assert look(workspace) == look(workspace)
    assert workspace.store.exists(keys.detections(image))
    assert workspace.catalog.images.get(image) is not None


def test_two_looks_keep_what_both_saw() -> None:
    first = Audit({}, {Mismatch.IMAGE_WITHOUT_MARK: ("a", "b"), Mismatch.FRAME_LEFT: ("c",)})
    later = Audit({"images/": 3}, {Mismatch.IMAGE_WITHOUT_MARK: ("b", "d")})
    both = first.also_in(later)
    assert both == Audit({"images/": 3}, {Mismatch.IMAGE_WITHOUT_MARK: ("b",)})
    assert not both.is_sound

"""What is known of an image to somebody who may not read raw/."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import keys
from pipeline.errors import StorageDenied, UserError
from pipeline.storage import FolderStore, StoredObject
from tests.factories import Wanted, make_image
from traboule.provenance import find_file, read_image, read_picture
from traboule.workspace import Workspace


class ReadersStore(FolderStore):
    """A store as a reader has it: nothing in raw/ can be read, be it there or not."""

    def get(self, key: str) -> StoredObject:
        if key.startswith("raw/"):
            raise StorageDenied(f"not for you: {key}")
        return super().get(key)


class ShutStore(ReadersStore):
    """A store that does not know us."""

    def get(self, key: str) -> StoredObject:
        raise StorageDenied("who are you?")


@pytest.fixture
def reader(composed: Workspace) -> Workspace:
    return replace(composed, store=ReadersStore(_root(composed)))


def _root(workspace: Workspace) -> Path:
    assert isinstance(workspace.store, FolderStore)
    return workspace.store.root


def test_reader_is_told_everything_of_a_detected_image(
    reader: Workspace, workspace: Workspace
) -> None:
    image = make_image(workspace, Wanted(labels={"car": 1}))
    assert read_image(reader, image) == read_image(workspace, image)


@pytest.mark.parametrize(("state", "prefix"), [("stored", keys.FRAMES), ("dropped", keys.DROPPED)])
def test_reader_is_told_what_the_catalog_knows_of_an_image_in_raw(
    reader: Workspace, workspace: Workspace, state: str, prefix: str
) -> None:
    image = make_image(workspace, Wanted(state=state, reason="alike"))
    everything, known = read_image(workspace, image), read_image(reader, image)
    assert known["object"].startswith(prefix)
    assert "not yours to read" in known.pop("remark")
    assert known.keys() == everything.keys()
    provenance = known.pop("provenance")
    whole = everything.pop("provenance")
    assert known == everything
    assert provenance == {name: whole[name] for name in provenance}
    assert {"sha256_received", "captured_at", "phash"} <= provenance.keys()


def test_reader_is_told_what_is_gone(reader: Workspace, workspace: Workspace) -> None:
    unknown = "quai-saone-20000101T000000Z-00000000"
    with pytest.raises(UserError, match="no image"):
        read_image(reader, unknown)
    image = make_image(workspace, Wanted(state="stored"))
    workspace.catalog.images.mark_undetected(image, "too late", keys.captured_at(image))
    with pytest.raises(UserError, match="is expired and has no objects left: too late"):
        read_image(reader, image)


def test_store_that_knows_us_not_at_all_is_no_answer(
    composed: Workspace, workspace: Workspace
) -> None:
    image = make_image(workspace, Wanted(state="stored"))
    with pytest.raises(StorageDenied):
        read_image(replace(composed, store=ShutStore(_root(composed))), image)


def test_picture_of_a_detected_image_alone_is_read(reader: Workspace, workspace: Workspace) -> None:
    image = make_image(workspace, Wanted())
    assert read_picture(reader, image) == workspace.store.get(keys.stored_image(image)).data
    stored = make_image(workspace, Wanted(camera="pont", state="stored"))
    for read in (read_picture, find_file):
        with pytest.raises(UserError, match="raw pixels are never opened"):
            read(reader, stored)
    workspace.store.delete(keys.stored_image(image))
    with pytest.raises(UserError, match="gone from the object store"):
        read_picture(reader, image)

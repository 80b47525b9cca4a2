from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipeline import keys
from pipeline.storage import StoredObject
from services.labeling.receiving.interpretation import ImageFacts
from services.labeling.sets.formats.matching import NO_IMAGE, UNKNOWN_BYTES, StoredImages, match
from services.labeling.sets.formats.packages import MAX_PICTURE_BYTES
from services.labeling.sets.formats.vocabulary import FoundLabels
from tests.factories import MORNING, SIZE
from tests.label_sets import MemoryPackage
from tests.labels import make_labelled
from traboule.workspace import Workspace, open_workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with closing(open_workspace(tmp_path)) as opened:
        yield opened


def test_image_is_found_by_id_and_by_bytes(workspace: Workspace) -> None:
    image = make_labelled(workspace, MORNING)
    images = StoredImages(workspace.store)
    data = workspace.store.get(keys.stored_image(image)).data
    assert images.find(image) == ImageFacts(image, *SIZE)
    assert images.find_bytes(hashlib.sha256(data).hexdigest()) == ImageFacts(image, *SIZE)
    assert images.find_bytes("00") is None


def test_image_without_a_readable_mark_is_not_ours(workspace: Workspace) -> None:
    image = make_labelled(workspace, MORNING)
    workspace.store.put(keys.detections(image), StoredObject(b"{", "application/json"))
    images = StoredImages(workspace.store)
    assert (images.find(image), images.find_bytes("00")) == (None, None)


def test_name_goes_before_bytes_and_reasons_are_told(workspace: Workspace) -> None:
    image = make_labelled(workspace, MORNING)
    images = StoredImages(workspace.store)
    huge = b"0" * (MAX_PICTURE_BYTES + 1)
    package = MemoryPackage({"a.jpg": b"other", "big.jpg": huge})
    by_name = FoundLabels("x.txt", f"8691898b__{image}", picture="a.jpg")
    assert match(by_name, package, images) == ImageFacts(image, *SIZE)
    for picture, reason in ((None, NO_IMAGE), ("a.jpg", UNKNOWN_BYTES), ("big.jpg", "too large")):
        found = match(FoundLabels("x.txt", "x", picture=picture), package, images)
        assert isinstance(found, str)
        assert reason in found

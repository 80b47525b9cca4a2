from __future__ import annotations

import pytest

from pipeline import keys
from tests.factories import Wanted, make_image
from traboule.traces import find_traces
from traboule.workspace import Workspace


def test_traces_are_objects_and_row(workspace: Workspace) -> None:
    image = make_image(workspace, Wanted())
    said = f"{keys.annotations_folder(image)}20261121T000000000000Z-00000000.json"
    workspace.store.put(said, workspace.store.get(keys.detections(image)))
    whole = find_traces(workspace, image)
    assert whole == {keys.stored_image(image), keys.detections(image), said, "row"}
    workspace.store.delete(said)
    workspace.catalog.images.remove(image)
    workspace.store.put(keys.tombstone(image), workspace.store.get(keys.detections(image)))
    workspace.store.delete(keys.detections(image))
    assert find_traces(workspace, image) == {keys.stored_image(image), keys.tombstone(image)}


@pytest.mark.parametrize("image", ["quai-saone-20000101T000000Z-00000000", "../etc/passwd", ""])
def test_what_is_no_image_has_no_traces(workspace: Workspace, image: str) -> None:
    make_image(workspace, Wanted())
    assert find_traces(workspace, image) == set()

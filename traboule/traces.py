"""What is left of an image, as far as a reader can tell."""

from __future__ import annotations

from pipeline import keys
from traboule.workspace import Workspace

ROW = "row"


def find_traces(workspace: Workspace, image_id: str) -> set[str]:
    """Keys by listing (raw/ is not ours to read), its annotations' and tombstone's too; `row`."""
    if not keys.is_image_id(image_id):
        return set()
    keys_of_it = {*keys.every_object(image_id), keys.tombstone(image_id)}
    listed = {entry.key for key in keys_of_it for entry in workspace.store.list(key)}
    said = {entry.key for entry in workspace.store.list(keys.annotations_folder(image_id))}
    row = workspace.catalog.images.get(image_id)
    return listed & keys_of_it | said | ({ROW} if row else set())

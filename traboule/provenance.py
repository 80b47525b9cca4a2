"""Everything known of one image, read from the object store, and its picture for a terminal."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from rich.text import Text
from rich.tree import Tree

from pipeline import keys
from pipeline.addresses import hide_secrets
from pipeline.catalog.tables import ImageRow
from pipeline.errors import ObjectMissing, StorageDenied, UserError
from pipeline.records import (
    FACE,
    KEPT_STATES,
    VEHICLES,
    Detections,
    ImageState,
    Provenance,
    Tombstone,
)
from pipeline.storage import FolderStore, ObjectStore
from traboule.printing import by_count, show
from traboule.workspace import Workspace

_PIXELS = {"thumbnail": {"pixels"}, "previous_thumbnail": {"pixels"}}
_IN_RAW = {*KEPT_STATES, ImageState.STORING, ImageState.DROPPED} - {ImageState.DETECTED}


def read_image(workspace: Workspace, image_id: str) -> dict[str, Any]:
    """The image's place, then its detections and its provenance, without thumbnails' pixels.

    UserError when there is no such image, or it was erased.
    """
    store = workspace.store
    if not keys.is_image_id(image_id):
        raise _no_image(image_id)
    row = workspace.catalog.images.get(image_id)
    if data := _get(store, keys.detections(image_id)):
        found = Detections.model_validate_json(data)
        about = _place(workspace, row, found.provenance, keys.stored_image(image_id))
        return about | _count(found) | found.model_dump(exclude={"provenance": _PIXELS})
    try:
        known = _read_raw(workspace, row, image_id)
    except StorageDenied:  # a reader's credentials leave raw/ out
        known = _tell_from_row(row) if row is not None and row.state in _IN_RAW else None
    if known is None:
        raise _gone(store, row, image_id)
    return known


def find_file(workspace: Workspace, image_id: str) -> Path:
    """The file of a detected image. UserError for any other: raw pixels are not shown."""
    _check_detected(workspace, image_id)
    path = _path_of(workspace.store, keys.stored_image(image_id))
    if path is None:
        where = hide_secrets(workspace.settings.store_url)
        raise UserError(
            f"{image_id} is not in a folder but at {where}; save it with: "
            f"traboule images open {image_id} --output - > {image_id}.jpg"
        )
    return path


def read_picture(workspace: Workspace, image_id: str) -> bytes:
    """A detected image's JPEG. UserError for any other: raw pixels are not shown."""
    _check_detected(workspace, image_id)
    data = _get(workspace.store, keys.stored_image(image_id))
    if data is None:
        raise UserError(f"{image_id} is gone from the object store; see: traboule doctor")
    return data


def _check_detected(workspace: Workspace, image_id: str) -> None:
    store = workspace.store
    if not keys.is_image_id(image_id):
        raise _no_image(image_id)
    if not store.exists(keys.detections(image_id)):
        row = workspace.catalog.images.get(image_id)
        if row is None:
            raise _gone(store, row, image_id)
        raise UserError(
            f"{image_id} is not detected yet but {row.state}: raw pixels are never opened"
        )


def _read_raw(workspace: Workspace, row: ImageRow | None, image_id: str) -> dict[str, Any] | None:
    for mark, key in (
        (keys.frame_mark(image_id), keys.frame(image_id)),
        (keys.dropped_mark(image_id), keys.dropped(image_id)),
    ):
        if data := _get(workspace.store, mark):
            provenance = Provenance.model_validate_json(data)
            about = _place(workspace, row, provenance, key)
            return about | {"provenance": provenance.model_dump(exclude=_PIXELS)}
    return None


def _tell_from_row(row: ImageRow) -> dict[str, Any]:
    """As far as the catalog tells it: the rest lies beside the unblurred frame."""
    is_dropped = row.state == ImageState.DROPPED
    about = {"id": row.id, "camera": row.source, "time": row.captured_at}
    known = ("source", "captured_at", "sha256_received", "width", "height", "phash")
    return (
        about
        | _stand(row)
        | {
            "object": keys.dropped(row.id) if is_dropped else keys.frame(row.id),
            "path": None,
            "provenance": {name: getattr(row, name) for name in known},
            "remark": "the rest lies in raw/, beside the unblurred frame, and is not yours to read",
        }
    )


def draw(known: dict[str, Any]) -> Tree:
    tree = Tree(Text(known["id"], style="bold"), guide_style="dim")
    _grow(tree, {name: value for name, value in known.items() if name != "id"})
    return tree


def _grow(tree: Tree, branch: dict[str, Any]) -> None:
    for name, value in branch.items():
        if isinstance(value, dict) and any(isinstance(one, dict) for one in value.values()):
            _grow(tree.add(Text(name, style="bold")), value)
        elif isinstance(value, list | tuple) and value and isinstance(value[0], dict):
            leaves = tree.add(Text(f"{name}: {len(value)}", style="bold"))
            for one in value:
                leaves.add(Text(_in_line(one)))
        else:
            tree.add(Text.assemble((f"{name}  ", "bold"), show(value)))


def _in_line(record: dict[str, Any]) -> str:
    return "  ".join(
        f"{value:.2f}" if name == "score" else show(_rounded(value))
        for name, value in record.items()
    )


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return [round(one) for one in value.values()]
    return value


def _place(
    workspace: Workspace, row: ImageRow | None, provenance: Provenance, key: str
) -> dict[str, Any]:
    """`path` is None for an image that is not to be looked at yet, or not in a folder; what is in
    it is not known before it is detected."""
    is_public = key.startswith(keys.IMAGES)
    path = _path_of(workspace.store, key) if is_public else None
    return {
        "id": provenance.id,
        "camera": provenance.source,
        "time": provenance.captured_at,
        **_stand(row),
        "object": key,
        "path": None if path is None else str(path),
    }


def _stand(row: ImageRow | None) -> dict[str, Any]:
    return {
        "state": None if row is None else row.state,
        "reason": "" if row is None else row.reason,
        "faces": None,
        "vehicles": None,
        "labels": {},
    }


def _count(found: Detections) -> dict[str, Any]:
    return {
        "faces": found.count(FACE),
        "vehicles": found.count(*VEHICLES),
        "labels": by_count(Counter(one.label for one in found.detections)),
    }


def _path_of(store: ObjectStore, key: str) -> Path | None:
    return store.root / key if isinstance(store, FolderStore) else None


def _get(store: ObjectStore, key: str) -> bytes | None:
    try:
        return store.get(key).data
    except ObjectMissing:
        return None


def _gone(store: ObjectStore, row: ImageRow | None, image_id: str) -> UserError:
    if data := _get(store, keys.tombstone(image_id)):
        tombstone = Tombstone.model_validate_json(data)
        why = f" ({tombstone.reason})" if tombstone.reason else ""
        return UserError(f"{image_id} was erased on {show(tombstone.erased_at)}{why}")
    if row is not None:
        return UserError(f"{image_id} is {row.state} and has no objects left: {row.reason}")
    return _no_image(image_id)


def _no_image(image_id: str) -> UserError:
    return UserError(f"no image {image_id!r}; see: traboule images list")

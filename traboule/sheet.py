"""The contact sheet: images with their boxes drawn, as one HTML file that can be sent to somebody.

It needs no network and shows no raw frame: an image not in `images/` yet is a card with its state.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image
from pydantic import ValidationError

from pipeline import keys
from pipeline.catalog import Catalog
from pipeline.catalog.cameras import camera_of
from pipeline.catalog.images import ImageFilter, Images
from pipeline.catalog.tables import ImageRow
from pipeline.errors import ObjectMissing
from pipeline.records import KEPT_STATES, Camera, Detection, Detections, ImageState, Policy
from pipeline.storage import ObjectStore
from traboule.delivery import deliver
from traboule.sheet_contents import (
    Polls,
    Sheet,
    SheetCamera,
    SheetImage,
    classify,
    describe_filter,
    show_local,
    state_in_words,
)

IMAGES_SHOWN = 60
WIDTH_PX = 960  # with the quality: 60 images of a camera make less than 10 MB
JPEG_QUALITY = 78


def make_sheet(
    catalog: Catalog, store: ObjectStore, wanted: ImageFilter, *, title: str = "Traboule"
) -> Sheet:
    """Read the newest images `wanted` finds, 60 where it sets no limit.

    Where no camera is asked for, each has its share, however busy another is. Without states it
    shows what was kept, detected or not. Raises TransientError when the catalog or the store does
    not answer.
    """
    limit = IMAGES_SHOWN if wanted.limit is None else wanted.limit
    wanted = replace(wanted, limit=limit, states=wanted.states or KEPT_STATES)
    rows = _search_fairly(catalog.images, wanted, limit)
    matching = len(rows)
    if matching == limit:
        matching = catalog.images.count(wanted)
    known = {row.id: camera_of(row) for row in catalog.cameras.all()}
    cameras, gone = _read_cameras(store, rows, known)
    return Sheet(
        title=title,
        made_at=datetime.now(UTC),
        wanted=wanted,
        matching=matching,
        gone=gone,
        cameras=cameras,
        polls=_count_polls(catalog, wanted, known),
    )


def render(sheet: Sheet) -> str:
    """The whole page; everything that came from outside is escaped."""
    environment = Environment(
        loader=PackageLoader("traboule", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["local"] = show_local
    environment.filters["utc"] = lambda at: f"{at:%Y-%m-%d %H:%M:%S} UTC"
    environment.filters["kind"] = classify
    environment.filters["state"] = state_in_words
    page = environment.get_template("sheet.html")
    return page.render(sheet=sheet, described=describe_filter(sheet), keep=Policy.KEEP)


def write_sheet(sheet: Sheet, path: Path) -> Path:
    """Write the page to `path`; see `deliver`."""
    deliver(render(sheet).encode(), path, readable=True)
    return path


def _search_fairly(images: Images, wanted: ImageFilter, limit: int) -> Sequence[ImageRow]:
    """The newest of each camera, then the second newest of each, and so on."""
    if wanted.camera is not None:
        return images.search(wanted)
    ranked = [
        (rank, row)
        for source in images.count_by_state()
        for rank, row in enumerate(images.search(replace(wanted, camera=source)))
    ]
    ranked.sort(key=lambda one: one[1].captured_at, reverse=True)
    ranked.sort(key=lambda one: one[0])
    return [row for _, row in ranked[:limit]]


def _read_cameras(
    store: ObjectStore, rows: Sequence[ImageRow], known: Mapping[str, Camera]
) -> tuple[tuple[SheetCamera, ...], int]:
    """The rows' images by camera, and how many had gone."""
    cameras, gone = [], 0
    by_source = sorted(rows, key=lambda row: row.source)  # stable: newest first within a camera
    for source, its_rows in groupby(by_source, key=lambda row: row.source):
        read = [_read_image(store, row) for row in its_rows]
        images = tuple(image for image in read if image is not None)
        gone += len(read) - len(images)
        if images:
            cameras.append(_name_camera(source, images, known.get(source)))
    return tuple(cameras), gone


def _name_camera(source: str, images: tuple[SheetImage, ...], camera: Camera | None) -> SheetCamera:
    """A removed camera's name is gone, but its images say whose they are."""
    if camera is not None:
        told = (camera.name, camera.attribution, camera.licence, camera.policy)
        return SheetCamera(source, *told, images)
    origin = next((image.origin for image in images if image.origin is not None), None)
    if origin is None:
        return SheetCamera(source, "", "", "", None, images)
    return SheetCamera(source, "", origin.attribution, origin.licence, origin.policy, images)


def _read_image(store: ObjectStore, row: ImageRow) -> SheetImage | None:
    """None when it was deleted meanwhile."""
    size = (row.width or 4, row.height or 3)
    image = SheetImage(row.id, row.captured_at, row.state, *size, reason=row.reason)
    if row.state != ImageState.DETECTED:
        return image
    try:
        found = Detections.model_validate_json(store.get(keys.detections(row.id)).data)
        jpeg = _reduce(store.get(keys.stored_image(row.id)).data)
    except ObjectMissing:
        return None
    except (ValidationError, OSError):
        return replace(image, reason="cannot be read from the object store")
    return replace(
        image,
        width=found.width,
        height=found.height,
        jpeg=base64.b64encode(jpeg).decode(),
        boxes=tuple(sorted(found.detections, key=_area, reverse=True)),  # small ones on top
        blurred=found.blurred,
        detectors=frozenset(model.name for model in found.models),
        origin=found.provenance,
    )


def _reduce(jpeg: bytes) -> bytes:
    """A JPEG of at most 960 pixels in width; OSError when the bytes are not an image."""
    with Image.open(io.BytesIO(jpeg)) as image:
        size = (WIDTH_PX, image.height)
        image.draft("RGB", (WIDTH_PX, image.height * WIDTH_PX // image.width))
        reduced = image.convert("RGB")
    reduced.thumbnail(size)
    out = io.BytesIO()
    reduced.save(out, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return out.getvalue()


def _count_polls(
    catalog: Catalog, wanted: ImageFilter, known: Mapping[str, Camera]
) -> tuple[Polls, ...]:
    totals = catalog.counters.totals(wanted.since)
    return tuple(
        Polls(
            name=known[source].name or source if source in known else source,
            outcomes=dict(sorted(outcomes.items(), key=_kept_first)),
        )
        for source, outcomes in sorted(totals.items())
        if wanted.camera in (None, source)
    )


def _kept_first(counted: tuple[str, int]) -> tuple[int, int]:
    outcome, total = counted
    return ("kept", "dropped", "failed", "nothing-new").index(classify(outcome)), -total


def _area(found: Detection) -> float:
    box = found.box
    return (box.x2 - box.x1) * (box.y2 - box.y1)

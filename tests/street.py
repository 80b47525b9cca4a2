"""A drawn street in a data folder, with what a detector would have found in it: its truth."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

from pipeline import keys
from pipeline.catalog.images import Found, NewImage
from pipeline.frames import mark_stored
from pipeline.records import BoundingBox, Detection, Detections, ModelIdentity
from pipeline.storage import StoredObject, put_json
from services.simulation.drawing import draw
from services.simulation.geometry import HEIGHT_PX, WIDTH_PX, build_camera
from services.simulation.scene import build_scene
from services.simulation.truth import find_objects
from tests.factories import Wanted, make_provenance
from traboule.workspace import Workspace

MODELS = (
    ModelIdentity(name="yolox-nano", sha256="ab" * 32, licence="Apache-2.0"),
    ModelIdentity(name="yunet", sha256="cd" * 32, licence="MIT"),  # last: it finds no face
)
VERSION = "yolox-nano abababab"


@dataclass(frozen=True)
class Street:
    """One image of a camera of the city; `least_px`: what is narrower or lower is not found."""

    camera: int = 1
    frame: int = 0
    least_px: float = 24.0


def make_street(workspace: Workspace, street: Street, wanted: Wanted) -> Detections:
    """What was found in it, once it is all there, as if detected."""
    body, found = _draw(street)
    about = make_provenance(wanted, body).model_copy(
        update={"width": WIDTH_PX, "height": HEIGHT_PX, "content_type": "image/jpeg"}
    )
    record = Detections(
        provenance=about,
        detections=found,
        models=MODELS,
        detected_at=wanted.at,
        sha256_stored=hashlib.sha256(body).hexdigest(),
        bytes_stored=len(body),
        width=WIDTH_PX,
        height=HEIGHT_PX,
        blurred=0,
        rounds=1,
    )
    new = NewImage(about.id, about.source, about.sha256_received, about.captured_at)
    workspace.catalog.images.begin(new, wanted.at)
    mark_stored(workspace.catalog, about, wanted.at)
    workspace.store.put(keys.stored_image(about.id), StoredObject(body, "image/jpeg"))
    put_json(workspace.store, keys.detections(about.id), record.model_dump_json())
    workspace.catalog.images.mark_detected(about.id, Found.summary_of(record))
    return record


def _draw(street: Street) -> tuple[bytes, tuple[Detection, ...]]:
    scene = build_scene(build_camera(0, street.camera), street.frame, night=False)
    out = io.BytesIO()
    draw(scene, noise_seed=street.frame).save(out, "JPEG", quality=85)
    sides = ("x1", "y1", "x2", "y2")
    found = [
        (one.label, BoundingBox(**dict(zip(sides, one.box, strict=True))))
        for one in find_objects(scene)
    ]
    return out.getvalue(), tuple(
        Detection(label=label, score=0.9 - 0.01 * number, box=box, detector="yolox-nano")
        for number, (label, box) in enumerate(found)
        if min(box.x2 - box.x1, box.y2 - box.y1) >= street.least_px
    )

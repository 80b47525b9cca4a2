"""A data folder with something in it, made through the catalog's and the store's own doors."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from PIL import Image, ImageDraw

from pipeline import keys
from pipeline.catalog.images import Found, NewImage
from pipeline.frames import mark_dropped, mark_stored
from pipeline.records import (
    BoundingBox,
    Camera,
    Conditions,
    Detection,
    Detections,
    ModelIdentity,
    Policy,
    Provenance,
    Thumbnail,
)
from pipeline.storage import StoredObject, put_json
from services.scheduler.sources import save_camera
from traboule.workspace import Workspace

MORNING = datetime(2026, 11, 21, 9, 16, 40, tzinfo=UTC)
SIZE = (320, 240)
THUMBNAIL = Thumbnail(width=8, height=6, pixels=bytes(range(48)))


@dataclass(frozen=True)
class Wanted:
    """An image to make. `labels` are what is found in it; `state` how far it comes."""

    camera: str = "quai-saone"
    at: datetime = MORNING
    state: str = "detected"  # or stored, dropped
    labels: Mapping[str, int] = field(default_factory=dict)
    reason: str = ""
    resembles: str | None = None


def make_camera(workspace: Workspace, camera_id: str = "quai-saone", **settings: object) -> Camera:
    known = {"id": camera_id, "url": f"http://127.0.0.1:9/{camera_id}.jpg", "name": "Quai"}
    camera = Camera.model_validate(known | settings)
    save_camera(workspace.catalog, workspace.store, camera, MORNING)
    return camera


def make_image(workspace: Workspace, wanted: Wanted) -> str:
    """Its id, once its objects and its row are there."""
    body = draw_jpeg(wanted.at)
    provenance = make_provenance(wanted, body)
    new = NewImage(
        provenance.id, provenance.source, provenance.sha256_received, provenance.captured_at
    )
    workspace.catalog.images.begin(new, wanted.at)
    if wanted.state == "dropped":
        _put(workspace, keys.dropped(provenance.id), provenance, body)
        mark_dropped(workspace.catalog, provenance)
    elif wanted.state == "stored":
        _put(workspace, keys.frame(provenance.id), provenance, body)
        mark_stored(workspace.catalog, provenance, wanted.at)
    else:
        mark_stored(workspace.catalog, provenance, wanted.at)
        _detect(workspace, wanted, provenance, body)
    return provenance.id


def make_provenance(wanted: Wanted, body: bytes) -> Provenance:
    sha256 = hashlib.sha256(body).hexdigest()
    return Provenance(
        id=keys.image_id(wanted.camera, wanted.at, sha256),
        source=wanted.camera,
        captured_at=wanted.at,
        url=f"http://127.0.0.1:9/{wanted.camera}.jpg",
        licence="Licence Ouverte 2.0",
        attribution="Métropole de Lyon",
        policy=Policy.ANONYMISE,
        detectors=("yunet", "yolox-nano"),
        sha256_received=sha256,
        bytes_received=len(body),
        content_type="image/jpeg",
        width=SIZE[0],
        height=SIZE[1],
        phash="c3d2a1b0f4e59687",
        conditions=Conditions(brightness=118.2, contrast=42.5),
        resembles=wanted.resembles,
        reason=wanted.reason,
        thumbnail=THUMBNAIL,
        headers={"content-type": "image/jpeg"},
    )


def draw_jpeg(at: datetime) -> bytes:
    """A street's grey with a box on it, where the time says."""
    image = Image.new("RGB", SIZE, "#888")
    x = int(at.timestamp()) % 197  # a different one every second, minute and hour
    ImageDraw.Draw(image).rectangle((x, 90, x + 80, 150), fill="#b33", outline="#fff")
    out = io.BytesIO()
    image.save(out, "JPEG")
    return out.getvalue()


def _detect(workspace: Workspace, wanted: Wanted, provenance: Provenance, body: bytes) -> None:
    found = Detections(
        provenance=provenance,
        detections=tuple(
            Detection(
                label=label,
                score=0.9,
                box=BoundingBox(x1=10 * n, y1=20, x2=10 * n + 40, y2=60),
                detector="yolox-nano",
            )
            for label, count in wanted.labels.items()
            for n in range(count)
        ),
        models=(ModelIdentity(name="yolox-nano", sha256="ab" * 32, licence="Apache-2.0"),),
        detected_at=wanted.at + timedelta(seconds=2),
        sha256_stored=hashlib.sha256(body).hexdigest(),
        bytes_stored=len(body),
        width=SIZE[0],
        height=SIZE[1],
        blurred=wanted.labels.get("face", 0),
        rounds=1,
    )
    stored = StoredObject(body, "image/jpeg")
    workspace.store.put(keys.stored_image(provenance.id), stored)
    put_json(workspace.store, keys.detections(provenance.id), found.model_dump_json())
    workspace.catalog.images.mark_detected(provenance.id, Found.summary_of(found))


def _put(workspace: Workspace, key: str, provenance: Provenance, body: bytes) -> None:
    workspace.store.put(key, StoredObject(body, "image/jpeg"))
    put_json(workspace.store, f"{key}.json", provenance.model_dump_json())

"""A labeling task as it is sent: the image's address, whose it is, and what the models said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from pipeline import keys
from pipeline.errors import ObjectMissing, PermanentError, UserError
from pipeline.labels.interface import MAX_SHOWN, UnreadableInterface, read_data_keys
from pipeline.records import Detections
from services.labeling.context import LabelingContext
from services.labeling.sending.predictions import predict
from services.labeling.settings import ImageAccess, read_secret
from services.labeling.signing import sign_address
from services.labeling.studio.connection import Connected
from services.labeling.studio.failures import StudioRefused
from services.labeling.studio.protocol import IMAGE_ID, NewStudioTask

ERASED = "it was erased"
TRY_AGAIN = "try to import it there by hand; when that goes: traboule labels push --failed"
DATA_KEYS = frozenset({"image", IMAGE_ID, "source", "captured_at", "licence", "attribution"})


class Unsendable(PermanentError):
    """The image cannot become a labeling task; the message says why."""


def compose_task(context: LabelingContext, connected: Connected, image: str) -> NewStudioTask:
    """Raises Unsendable, and StudioError or StorageError where it should be tried again."""
    found = _read_detections(context, image)
    about = found.provenance
    return NewStudioTask(
        data={
            "image": _find_address(context, connected, image),
            IMAGE_ID: image,
            "source": about.source,
            "captured_at": about.captured_at.isoformat(),
            "licence": about.licence,
            "attribution": about.attribution,
        },
        predictions=predict(found),
    )


def find_lacking(interface: str) -> Sequence[str]:
    """In words, what makes Label Studio refuse every task of ours: the labeling interface asks for
    data that none of them has."""
    try:
        lacking = sorted(read_data_keys(interface) - DATA_KEYS)
    except UnreadableInterface as error:
        return [f"the labeling interface cannot be used: {error}"]
    return [
        f"the labeling interface asks for ${key}, which no labeling task of Traboule's has: Label "
        "Studio takes none until somebody undoes that there"
        for key in lacking[:MAX_SHOWN]
    ]


def copy_name(image: str) -> str:
    """What a copy of an image is called in Label Studio."""
    return f"{image}.jpg"


def is_ours(data: Mapping[str, Any]) -> bool:
    """Whether a labeling task's data are such as compose_task gives."""
    image = data.get(IMAGE_ID)
    if not isinstance(image, str) or not keys.is_image_id(image):
        return False
    said = ("captured_at", "licence", "attribution")
    return data.get("source") == keys.source_of(image) and all(one in data for one in said)


def _read_detections(context: LabelingContext, image: str) -> Detections:
    if context.store.exists(keys.tombstone(image)):
        raise Unsendable(ERASED)
    try:
        return Detections.model_validate_json(context.store.get(keys.detections(image)).data)
    except ObjectMissing:
        raise Unsendable("its detections are gone from the store") from None
    except ValidationError:
        raise Unsendable("its detections cannot be read") from None


def _find_address(context: LabelingContext, connected: Connected, image: str) -> str:
    settings, key = context.settings, keys.stored_image(image)
    if settings.images is ImageAccess.UPLOAD:
        return _upload(context, connected, image)
    if not context.store.exists(key):
        raise Unsendable("it is gone from the store")
    if settings.images is ImageAccess.S3:
        return f"s3://{settings.s3_bucket}/{key.partition('/')[2]}"
    try:
        secret = read_secret(settings.images_secret_file, "the secret of images' addresses")
    except UserError as error:  # a person may mend it while we run
        raise StudioRefused(str(error)) from None
    return sign_address(settings.images_url, secret, image)


def _upload(context: LabelingContext, connected: Connected, image: str) -> str:
    """Where its copy is: the one that was made when sending failed later, or a new one."""
    row = context.catalog.labeling.get(connected.key, image)
    if row is not None and row.copy_address:
        return row.copy_address
    try:
        data = context.store.get(keys.stored_image(image)).data
    except ObjectMissing:
        raise Unsendable("it is gone from the store") from None
    studio, project, name = connected.studio, connected.project.id, copy_name(image)
    try:
        address = studio.upload(project, name, data)
    except StudioRefused as error:
        if not error.blames_content:
            raise
        raise Unsendable(f"Label Studio takes no copy of it: {error}; {TRY_AGAIN}") from None
    if context.store.exists(keys.tombstone(image)):  # since it was read
        studio.delete_copies(project, [name])
        raise Unsendable(ERASED)
    context.catalog.labeling_claims.note_copy(connected.key, image, address)
    return address

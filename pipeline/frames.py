"""A frame that lies in raw/: the row that says so, and the message about it."""

from __future__ import annotations

from datetime import datetime, timedelta

from pipeline.broker import Publish
from pipeline.catalog import Catalog
from pipeline.catalog.images import Description, Drop
from pipeline.errors import BrokerError
from pipeline.logs import get_logger
from pipeline.looks import write_look
from pipeline.messages import ImageStored
from pipeline.records import Provenance

DROPPED_FOR_H = 24
ANNOUNCED_AGAIN_AFTER_S = 120

log = get_logger(__name__)


def mark_stored(catalog: Catalog, provenance: Provenance, now: datetime) -> bool:
    """The row `stored`, from what lies in raw/."""
    announce_at = now + timedelta(seconds=ANNOUNCED_AGAIN_AFTER_S)
    return catalog.images.mark_stored(provenance.id, describe(provenance), announce_at, now)


def mark_dropped(catalog: Catalog, provenance: Provenance) -> bool:
    """The row `dropped` and its line in the list, from what lies in raw/dropped/."""
    return catalog.images.mark_dropped(
        provenance.id,
        describe(provenance),
        Drop(
            at=provenance.captured_at,
            reason=provenance.reason,
            resembles=provenance.resembles,
            expires_at=provenance.captured_at + timedelta(hours=DROPPED_FOR_H),
        ),
    )


def announce(publish: Publish, image_id: str) -> bool:
    """Say that an image is stored; if the broker does not take it, the sweep says it later."""
    try:
        publish(ImageStored(image=image_id))
    except BrokerError as error:
        log.warning("not announced", image=image_id, reason=str(error))
        return False
    return True


def describe(provenance: Provenance) -> Description:
    look = write_look(provenance)
    return Description(provenance.width, provenance.height, provenance.phash, look)

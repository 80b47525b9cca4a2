"""An image that was detected, or asked for by hand: whether it becomes a labeling task."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pydantic import ValidationError

from pipeline import keys
from pipeline.catalog.images import ImageFilter
from pipeline.catalog.labeling.tasks import Considered, TaskState
from pipeline.errors import ObjectMissing
from pipeline.logs import get_logger
from pipeline.records import KEPT_STATES, Detections
from services.labeling.context import LabelingContext
from services.labeling.sending.selection import ASKED, Decision, Rules, decide
from services.labeling.settings import SendPolicy
from services.labeling.studio.failures import StudioUnavailable

CAUGHT_UP_AT_ONCE = 200

log = get_logger(__name__)


def consider_image(context: LabelingContext, image: str) -> bool:
    """Whether the image has a row now that it had not before. It waits for a project: until one is
    known nothing is noted, and catch_up comes back to it."""
    project = context.connection.project
    if project is None or context.catalog.labeling.get(project, image) is not None:
        return False
    if context.store.exists(keys.tombstone(image)):
        log.info("not considered: erased", image=image)
        return False
    return context.catalog.labeling.consider(project, _judge(context, image), context.clock())


def catch_up(context: LabelingContext, project: str, ends_at: float) -> int:
    """Consider images whose message was lost, or that are older than the project; how many."""
    considered = 0
    for image in context.catalog.labeling.unconsidered(project, CAUGHT_UP_AT_ONCE):
        if time.monotonic() > ends_at:
            break
        considered += consider_image(context, image)
    return considered


def ask_for(context: LabelingContext, images: Sequence[str]) -> int:
    """A person wants these sent; how many now wait. Those without detections are passed over.

    StudioUnavailable, to be tried again, before the project is known.
    """
    if not context.connection.is_configured:
        log.warning("asked for by hand, and no Label Studio is connected", images=len(images))
        return 0
    project = context.connection.project
    if project is None:
        raise StudioUnavailable("Label Studio was not reached yet")
    known = [image for image in images if _is_there(context, image)]
    wanted = [_consider(image, ASKED) for image in known]
    waiting = context.catalog.labeling.ask(project, wanted, context.clock())
    log.info("asked for by hand", images=len(images), there=len(known), now_waiting=waiting)
    return waiting


def _is_there(context: LabelingContext, image: str) -> bool:
    there = keys.is_image_id(image) and context.store.exists(keys.detections(image))
    return there and not context.store.exists(keys.tombstone(image))


def _judge(context: LabelingContext, image: str) -> Considered:
    try:
        found = Detections.model_validate_json(context.store.get(keys.detections(image)).data)
    except ObjectMissing:
        return _consider(image, Decision(False, "its detections are gone from the store"))
    except ValidationError:
        return _consider(image, Decision(False, "its detections cannot be read"))
    rules = Rules.of(context.settings)
    place = _count_before(context, found) if rules.policy is SendPolicy.NTH else 0
    return _consider(image, decide(found, rules, place))


def _count_before(context: LabelingContext, found: Detections) -> int:
    """How many images of its source and day came before it."""
    at = found.provenance.captured_at
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    same_day = ImageFilter(found.provenance.source, since=midnight, until=at, states=KEPT_STATES)
    return context.catalog.images.count(same_day)


def _consider(image: str, decision: Decision) -> Considered:
    return Considered(
        image_id=image,
        source=keys.source_of(image),
        day=keys.day_of(image),
        rank=decision.rank,
        state=TaskState.WAITING if decision.sent else TaskState.LEFT_OUT,
        reason=decision.reason,
    )

"""Images that wait, sent as labeling tasks: none twice, whenever a sender is killed.

Label Studio takes the same task any number of times, so that every image is claimed before it is
sent, an image whose claim ran out is looked for over there before it is sent again, and a catalog
that may have forgotten what was sent is compared with Label Studio first.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from datetime import timedelta

from pipeline.catalog.labeling.claims import Claim
from pipeline.errors import TransientError
from pipeline.logs import get_logger
from services.labeling.context import LabelingContext
from services.labeling.receiving.comparing import compare_before_sending
from services.labeling.sending.composing import (
    TRY_AGAIN,
    Unsendable,
    compose_task,
    find_lacking,
)
from services.labeling.sending.shown_model import ShownModel
from services.labeling.settings import ImageAccess
from services.labeling.studio.connection import Connected
from services.labeling.studio.deadlines import GRACE_S, ending_by
from services.labeling.studio.failures import StudioRefused
from services.labeling.studio.project import check_project
from services.labeling.studio.protocol import MAX_TASKS_PER_REQUEST, NewStudioTask

CLAIM_S = 180.0  # longer than a batch can take: what is claimed is not looked for meanwhile
COMPOSE_WITHIN_S = 90.0  # of a claim; what is not ready by then is left to the next
IMPORT_WITHIN_S = 120.0  # of a claim: after that, Label Studio might take what another sends
UPLOADS_AT_ONCE = 25  # each is two requests of its own
LOOKED_FOR_AT_ONCE = 40  # whether they are over there

log = get_logger(__name__)

Batch = Sequence[tuple[str, NewStudioTask]]  # each with its image


def push_waiting(context: LabelingContext, connected: Connected, ends_at: float) -> int:
    """Send what waits until there is none or the time is over; how many labeling tasks are new."""
    pusher = Pusher(context, connected, ends_at)
    sent = 0
    with ending_by(ends_at + GRACE_S):
        while time.monotonic() < ends_at:
            new, resumed = pusher.send_waiting(), pusher.resume_abandoned()
            if new is None and resumed is None:
                break
            sent += (new or 0) + (resumed or 0)
    if sent:
        log.info("sent to Label Studio", tasks=sent)
    return sent


class Pusher:
    def __init__(self, context: LabelingContext, connected: Connected, ends_at: float) -> None:
        self._context = context
        self._ends_at = ends_at
        self._connected = connected
        self._claims = context.catalog.labeling_claims
        self._uploads = context.settings.images is ImageAccess.UPLOAD
        self._shown_model = ShownModel(context, connected)
        self._is_known = self._is_there = False
        self._at_once = UPLOADS_AT_ONCE if self._uploads else MAX_TASKS_PER_REQUEST

    def send_waiting(self, at_most: int = MAX_TASKS_PER_REQUEST) -> int | None:
        """Claim a batch and send it; None when nothing waits, or nobody knows what is there."""
        if not self._knows_what_is_there():
            return None
        claim = self._begin_claim()
        quota, limit = self._context.settings.per_camera_and_day, min(self._at_once, at_most)
        rows = self._claims.claim(self._connected.key, claim, limit, quota)
        return self._send(claim, [row.image_id for row in rows]) if rows else None

    def resume_abandoned(self) -> int | None:
        """Take over from senders that died; None when there are none.

        Whether Label Studio took their tasks, nobody knows but Label Studio.
        """
        if not self._knows_what_is_there():
            return None
        claim = self._begin_claim()
        abandoned = self._claims.abandoned(self._connected.key, claim.now, LOOKED_FOR_AT_ONCE)
        images = [row.image_id for row in abandoned]
        if not images:
            return None
        self._check_project()
        rows = self._claims.take_over(self._connected.key, images, claim)
        mine = [row.image_id for row in rows]
        found = self._connected.studio.find_tasks(self._connected.project.id, mine)
        there = {image: min(found[image]) for image in mine if found.get(image)}
        log.info("a sender died", images=len(mine), were_sent=len(there))
        self._mark_sent(claim, there)
        return self._send(claim, [one for one in mine if one not in there])

    def _knows_what_is_there(self) -> bool:
        if not self._is_known:
            self._is_known = compare_before_sending(self._context, self._connected, self._ends_at)
        return self._is_known

    def _check_project(self) -> None:
        """That it is still ours: once, and where there is something to send."""
        if not self._is_there:
            check_project(self._connected.studio, self._connected.project)
            self._is_there = True

    def _begin_claim(self) -> Claim:
        now = self._context.clock()
        return Claim(uuid.uuid4().hex, now, now + timedelta(seconds=CLAIM_S), self._uploads)

    def _send(self, claim: Claim, images: Sequence[str]) -> int:
        """What of it is neither sent nor given up is free again, unless nobody knows."""
        try:
            self._check_project()
            batch = self._compose(claim, images)
            self._shown_model.begin(task for _, task in batch)
        except TransientError:
            self._claims.release(self._connected.key, claim.token)
            raise
        try:
            sent = self._import(claim, batch)
        except StudioRefused:
            self._claims.release(self._connected.key, claim.token)
            raise
        self._claims.release(self._connected.key, claim.token)
        if sent:
            self._shown_model.end()
        return sent

    def _compose(self, claim: Claim, images: Sequence[str]) -> Batch:
        """As many as there is time for, but one at least."""
        composed = []
        for image in images:
            try:
                composed.append((image, compose_task(self._context, self._connected, image)))
            except Unsendable as error:
                self._fail(claim, image, str(error))
            if time.monotonic() > self._ends_at or self._is_over(claim, COMPOSE_WITHIN_S):
                break
        return composed

    def _import(self, claim: Claim, batch: Batch) -> int:
        """A batch is taken whole or not at all: one that is refused is halved, down to the task
        that is to blame. Of one that is not answered nothing is known: its claim has to run out."""
        if not batch or self._is_over(claim, IMPORT_WITHIN_S):
            return 0
        studio, project = self._connected.studio, self._connected.project
        try:
            numbers = studio.import_tasks(project.id, [task for _, task in batch])
        except StudioRefused as error:
            if not error.blames_content:
                raise
            return self._import_parts(claim, batch, error)
        images = (image for image, _ in batch)
        return self._mark_sent(claim, dict(zip(images, numbers, strict=True)))

    def _import_parts(self, claim: Claim, batch: Batch, refusal: StudioRefused) -> int:
        self._check_interface()
        if len(batch) == 1:
            self._fail(claim, batch[0][0], f"Label Studio does not take it: {refusal}; {TRY_AGAIN}")
            return 0
        half = len(batch) // 2
        return self._import(claim, batch[:half]) + self._import(claim, batch[half:])

    def _check_interface(self) -> None:
        """Raises where it is we or the labeling interface, and no task, that are to blame."""
        studio, project = self._connected.studio, self._connected.project
        if lacking := find_lacking(studio.get_project(project.id).interface):
            raise StudioRefused("; ".join(lacking))

    def _mark_sent(self, claim: Claim, tasks: dict[str, int]) -> int:
        key, now = self._connected.key, self._context.clock()
        return self._claims.mark_sent(key, claim.token, tasks, now) if tasks else 0

    def _is_over(self, claim: Claim, within_s: float) -> bool:
        return self._context.clock() - claim.now >= timedelta(seconds=within_s)

    def _fail(self, claim: Claim, image: str, reason: str) -> None:
        key, now = self._connected.key, self._context.clock()
        self._claims.mark_failed(key, claim.token, image, reason, now)
        log.warning("not sent to Label Studio", image=image, reason=reason)

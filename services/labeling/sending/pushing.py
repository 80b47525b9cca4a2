"""Images that wait, sent as labeling tasks: none twice, whenever a sender is killed.

Label Studio takes the same task any number of times, so that every image is claimed before it is
sent, an image whose claim ran out is looked for over there before it is sent again, and a catalog
that may have forgotten what was sent is compared with Label Studio first.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.errors import TransientError
from pipeline.logs import get_logger
from services.labeling.context import LabelingContext
from services.labeling.receiving.comparing import compare_before_sending
from services.labeling.sending.composing import Unsendable, compose_task, find_lacking
from services.labeling.sending.shown_model import ShownModel
from services.labeling.settings import ImageAccess
from services.labeling.studio.connection import Connected
from services.labeling.studio.failures import ProjectMissing, StudioRefused
from services.labeling.studio.protocol import MAX_TASKS_PER_REQUEST, NewStudioTask

CLAIM_S = 180.0  # longer than a batch can take: what is claimed is not looked for meanwhile
UPLOADS_AT_ONCE = 25  # each is two requests of its own
LOOKED_FOR_AT_ONCE = 40  # whether they are over there

log = get_logger(__name__)

Batch = Sequence[tuple[str, NewStudioTask]]  # each with its image


@dataclass(frozen=True)
class Claim:
    """Images that are this sender's until then."""

    token: str
    until: datetime
    images: Sequence[str]


def push_waiting(context: LabelingContext, connected: Connected, ends_at: float) -> int:
    """Send what waits until there is none or the time is over; how many labeling tasks are new."""
    pusher = Pusher(context, connected, ends_at)
    sent = 0
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
        self._tasks = context.catalog.labeling
        self._copies = context.settings.images is ImageAccess.UPLOAD
        self._shown_model = ShownModel(context, connected)
        self._is_known = False
        self._at_once = UPLOADS_AT_ONCE if self._copies else MAX_TASKS_PER_REQUEST

    def send_waiting(self, at_most: int = MAX_TASKS_PER_REQUEST) -> int | None:
        """Claim a batch and send it; None when nothing waits, or nobody knows what is there."""
        if not self._knows_what_is_there():
            return None
        token, now, until = self._begin_claim()
        quota, limit = self._context.settings.per_camera_and_day, min(self._at_once, at_most)
        rows = self._tasks.claim(self._connected.key, token, now, until, limit, quota)
        if not rows:
            return None
        return self._send(Claim(token, until, [row.image_id for row in rows]))

    def resume_abandoned(self) -> int | None:
        """Take over from senders that died; None when there are none.

        Whether Label Studio took their tasks, nobody knows but Label Studio.
        """
        if not self._knows_what_is_there():
            return None
        token, now, until = self._begin_claim()
        abandoned = self._tasks.abandoned(self._connected.key, now, LOOKED_FOR_AT_ONCE)
        images = [row.image_id for row in abandoned]
        if not images:
            return None
        rows = self._tasks.take_over(self._connected.key, images, token, now, until)
        mine = [row.image_id for row in rows]
        found = self._connected.studio.find_tasks(self._connected.project.id, mine)
        there = {image: min(found[image]) for image in mine if found.get(image)}
        log.info("a sender died", images=len(mine), were_sent=len(there))
        self._mark_sent(token, there)
        return self._send(Claim(token, until, [one for one in mine if one not in there]))

    def _knows_what_is_there(self) -> bool:
        if not self._is_known:
            self._is_known = compare_before_sending(self._context, self._connected, self._ends_at)
        return self._is_known

    def _begin_claim(self) -> tuple[str, datetime, datetime]:
        now = self._context.clock()
        return uuid.uuid4().hex, now, now + timedelta(seconds=CLAIM_S)

    def _send(self, claim: Claim) -> int:
        """What of it is neither sent nor given up is free again, unless nobody knows."""
        try:
            batch = self._compose(claim)
            self._shown_model.begin(task for _, task in batch)
        except TransientError:
            self._tasks.release(self._connected.key, claim.token)
            raise
        try:
            sent = self._import(claim, batch)
        except StudioRefused:
            self._tasks.release(self._connected.key, claim.token)
            raise
        self._tasks.release(self._connected.key, claim.token)
        if sent:
            self._shown_model.end()
        return sent

    def _compose(self, claim: Claim) -> Batch:
        """As many as there is time for, but one at least."""
        composed = []
        for image in claim.images:
            try:
                composed.append((image, compose_task(self._context, self._connected, image)))
            except Unsendable as error:
                self._fail(image, str(error))
            if time.monotonic() > self._ends_at:
                break
        return composed

    def _import(self, claim: Claim, batch: Batch) -> int:
        """A batch is taken whole or not at all: one that is refused is halved, down to the task
        that is to blame. Of one that is not answered nothing is known: its claim has to run out."""
        if not batch or self._context.clock() >= claim.until:
            return 0
        studio, project = self._connected.studio, self._connected.project
        try:
            numbers = studio.import_tasks(project.id, [task for _, task in batch])
        except ProjectMissing:
            raise
        except StudioRefused as error:
            return self._import_parts(claim, batch, error)
        images = (image for image, _ in batch)
        return self._mark_sent(claim.token, dict(zip(images, numbers, strict=True)))

    def _import_parts(self, claim: Claim, batch: Batch, refusal: StudioRefused) -> int:
        self._check_project()
        if len(batch) == 1:
            self._fail(batch[0][0], f"Label Studio does not take it: {refusal}")
            return 0
        half = len(batch) // 2
        return self._import(claim, batch[:half]) + self._import(claim, batch[half:])

    def _check_project(self) -> None:
        """Raises where it is we or the labeling interface, and no task, that are to blame."""
        connected = self._connected
        lacking = find_lacking(connected.studio.get_project(connected.project.id).interface)
        if not lacking:
            return
        # Stays until the next comparison; the reason is gone as soon as anything else goes well.
        projects = self._context.catalog.labeling_projects
        row = projects.get(connected.key)
        noted = row.notes if row else []
        projects.note(connected.key, [*noted, *(one for one in lacking if one not in noted)])
        raise StudioRefused("; ".join(lacking))

    def _mark_sent(self, token: str, tasks: dict[str, int]) -> int:
        key, now = self._connected.key, self._context.clock()
        return self._tasks.mark_sent(key, token, tasks, self._copies, now) if tasks else 0

    def _fail(self, image: str, reason: str) -> None:
        self._tasks.mark_failed(self._connected.key, image, reason, self._context.clock())
        log.warning("not sent to Label Studio", image=image, reason=reason)

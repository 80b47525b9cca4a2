"""How far the changes of a project were read: a place that a run leaves, and the next goes on from.

By Label Studio's clock alone. What was changed a little earlier than what we have read may still
turn up, since its transactions do not end in the order of their times. So a pass through the
changes begins a while before the last one's end, until nothing has changed for as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.labeling.studio.protocol import StudioTask

OVERLAP = timedelta(minutes=2)  # longer than a transaction over there: a large import's is one


@dataclass
class ChangeCursor:
    """One project's, kept from one run to the next.

    `noted`: what the catalog says of it. `since`, `after`: the place, as a time of change and a
    task's number. `begun_at`: when the pass in hand began, by our clock; None between two passes.
    `quiet_since`: the end of the first pass that found nothing newer than `quiet_to`; `settled`:
    what was changed before the place can no longer turn up late.
    """

    project: str
    noted: datetime | None
    newest: datetime | None = None
    since: datetime | None = None
    after: int = 0
    begun_at: datetime | None = None
    quiet_to: datetime | None = None
    quiet_since: datetime | None = None
    settled: bool = False

    def is_of(self, project: str, noted: datetime | None) -> bool:
        """False where the catalog was set back meanwhile: what it lost is read again."""
        if self.noted is not None and (noted is None or noted < self.noted):
            return False
        return self.project == project

    def begin(self, now: datetime) -> None:
        """A pass, where none is in hand."""
        if self.begun_at is not None:
            return
        self.begun_at = now
        if not self.settled:
            self.since, self.after = self.noted and self.noted - OVERLAP, 0

    def go_past(self, task: StudioTask) -> None:
        self.since, self.after = task.updated_at, task.id
        if self.newest is None or task.updated_at > self.newest:
            self.newest, self.settled = task.updated_at, False

    def reached(self, now: datetime) -> datetime | None:
        """Up to when everything is here, but for what is still to turn up within the overlap.

        Over there it was the newest change's time or later just now, so when the pass began it was
        its duration earlier, or later: what had not turned up when it was passed is newer still.
        """
        if self.newest is None or self.begun_at is None or self.settled:
            return self.newest
        safe = self.newest - max(now - self.begun_at, timedelta(0))
        return safe if self.noted is None else max(safe, self.noted)

    def end(self, now: datetime) -> None:
        """The pass came to the end of the changes."""
        if self.newest is None or self.newest != self.quiet_to:
            self.quiet_to, self.quiet_since, self.settled = self.newest, now, False
        elif self.begun_at and self.quiet_since and self.begun_at - self.quiet_since > OVERLAP:
            self.settled = True
        self.begun_at = None

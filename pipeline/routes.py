"""The whole flow on one screen: message, queue, task. A queue is named after its service."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.messages import (
    DeleteImage,
    Discover,
    FollowChanges,
    ImageDetected,
    ImageStored,
    Message,
    PollDue,
    PushImages,
    PushTasks,
    RemoveCamera,
    RestoreDrop,
    SaveCamera,
    Sweep,
    Tick,
)


@dataclass(frozen=True)
class Route:
    """`expires_s`: a message older than this is not worth doing. `patient`: tried again for as long
    as a server is away, since nobody would say it a second time."""

    message: type[Message]
    queue: str
    task: str
    expires_s: float | None = None
    patient: bool = False


@dataclass(frozen=True)
class Beat:
    """A message that the scheduler's beat sends every so often."""

    message: Message
    every_s: float


ROUTES = (
    Route(Tick, "scheduler", "scheduler.tick", expires_s=2),
    Route(Discover, "scheduler", "scheduler.discover", expires_s=5),
    Route(SaveCamera, "scheduler", "scheduler.save_camera", patient=True),
    Route(RemoveCamera, "scheduler", "scheduler.remove_camera", patient=True),
    Route(PollDue, "capture", "capture.poll_camera"),
    Route(ImageStored, "detection", "detection.detect_image"),
    Route(Sweep, "maintenance", "maintenance.sweep", expires_s=30),
    Route(DeleteImage, "maintenance", "maintenance.delete_image", patient=True),
    Route(RestoreDrop, "maintenance", "maintenance.restore_drop", patient=True),
    Route(ImageDetected, "labeling", "labeling.consider_image"),
    Route(PushTasks, "labeling", "labeling.push_tasks", expires_s=20),
    Route(FollowChanges, "labeling", "labeling.follow_changes", expires_s=30),
    Route(PushImages, "labeling", "labeling.push_images", patient=True),
)

# Published by a stage, consumed by none yet: not sent.
WITHOUT_CONSUMER: tuple[type[Message], ...] = ()

BEATS = (
    Beat(Tick(), every_s=1),
    Beat(Discover(), every_s=5),
    Beat(Sweep(), every_s=30),
    Beat(PushTasks(), every_s=10),
    Beat(FollowChanges(), every_s=15),
)

# Who may send what, and nothing else; a service's own queue takes its own retries besides.
SENDERS: dict[str, tuple[type[Message], ...]] = {
    "scheduler": (Tick, Discover, Sweep, PollDue, PushTasks, FollowChanges),
    "capture": (ImageStored,),
    "detection": (ImageDetected,),
    "maintenance": (ImageStored,),
    "labeling": (FollowChanges,),  # its webhook's hint
    "cli": (SaveCamera, RemoveCamera, DeleteImage, RestoreDrop, PushImages),
}

_BY_MESSAGE = {route.message: route for route in ROUTES}


def route_of(message: type[Message]) -> Route | None:
    """None for a message that no service consumes. KeyError for one this page does not name."""
    if message in WITHOUT_CONSUMER:
        return None
    return _BY_MESSAGE[message]

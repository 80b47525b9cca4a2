"""What the stages say to one another. Messages carry ids, never pixels."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from pipeline.records import Camera


class Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tick(Message):
    """A second has passed: see which cameras are due."""


class Sweep(Message):
    """See what fell between, and what has had its time."""


class Discover(Message):
    """See which feeds are due, and take up the cameras that they list."""


class PollDue(Message):
    """A camera is due; the token is its lease's: without it the poll is ignored."""

    camera: str
    token: str


class ImageStored(Message):
    """An image and its provenance lie in raw/."""

    image: str


class ImageDetected(Message):
    """An image and its detections lie in images/ and detections/."""

    image: str


class PushTasks(Message):
    """See which images wait to go to Label Studio."""


class FollowChanges(Message):
    """See what people changed in Label Studio: from time to time, or because it gave a hint."""


# Commands: what a person asks of a stage.


class SaveCamera(Message):
    """Add a camera, or change one."""

    camera: Camera


class RemoveCamera(Message):
    camera: str


class DeleteImage(Message):
    image: str
    reason: str = ""


class RestoreDrop(Message):
    image: str


class PushImages(Message):
    """Send these images to Label Studio, whatever the policy says of them."""

    images: tuple[str, ...]

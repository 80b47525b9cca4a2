"""Labeling beside a Label Studio in memory, with a clock of its own, and processes that are killed.

trip = RoundTrip(open_workspace(tmp_path))
image = trip.detect()                   # an image lies there, with what was found in it
trip.push()
trip.studio.annotate(trip.task_of(image), [box()])
trip.follow()
trip.revisions(image)                   # from the store's listing
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from sqlalchemy import delete

from pipeline import keys
from pipeline.annotations import Annotation
from pipeline.catalog.tables import LabelingProjectRow, LabelingTaskRow
from pipeline.messages import FollowChanges, ImageDetected, Message, PushImages, PushTasks
from pipeline.records import Tombstone
from pipeline.storage import put_json
from services.labeling import tasks
from services.labeling.client import SdkStudio
from services.labeling.context import LabelingContext
from services.labeling.settings import LabelingSettings
from services.labeling.studio.connection import Connection
from services.labeling.studio.protocol import Studio, StudioProject
from tests.factories import Wanted, make_image
from tests.fake_studio import FakeStudio
from tests.label_studio import StudioServer
from traboule.workspace import Workspace, open_workspace

TOKEN = "0123456789abcdef0123456789abcdef01234567"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Killed(BaseException):
    """The process is gone, between two steps."""


@dataclass
class Fate:
    """How many steps are left; None: it lives for ever."""

    steps_left: int | None = None

    def step(self) -> None:
        if self.steps_left is None:
            return
        if self.steps_left == 0:
            raise Killed
        self.steps_left -= 1


class Mortal:
    """What it stands for, each call a step, at whose end the process may be killed."""

    def __init__(self, target: object, fate: Fate) -> None:
        self._target = target
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if not callable(value):
            return value

        def call(*args: Any, **options: Any) -> Any:
            result = value(*args, **options)
            self._fate.step()
            return result

        return call


@dataclass
class RoundTrip:
    """`context` is the process at work; restart() is the next one."""

    workspace: Workspace
    studio: FakeStudio = field(default_factory=FakeStudio)
    now: datetime = NOW
    fate: Fate = field(default_factory=Fate)
    tokens: list[str] = field(default_factory=list)  # with which it was opened
    opener: Callable[[str, str], Studio] | None = None  # of another than `studio`

    def __post_init__(self) -> None:
        assert self.workspace.data is not None
        folder = self.workspace.data
        self.token_file = folder / "token"
        self.token_file.write_text(TOKEN + "\n")
        (folder / "signing").write_text("a secret")
        (folder / "webhook").write_text("knock knock")
        self.settings = LabelingSettings(
            url=self.studio.url,
            token_file=self.token_file,
            images_secret_file=folder / "signing",
            webhook_secret_file=folder / "webhook",
            per_camera_and_day=None,
        )
        self.number = 0
        self.restart()

    def set(self, **settings: Any) -> None:
        """Another process, with other settings."""
        self.settings = self.settings.model_copy(update=settings)
        self.restart()

    def restart(self, steps_left: int | None = None) -> None:
        """A new process, which lives for so many steps."""
        self.fate = fate = Fate(steps_left)
        catalog = self.workspace.catalog

        def mortal(target: object) -> Any:
            return Mortal(target, fate)

        projects = mortal(catalog.labeling_projects)
        self.context = LabelingContext(
            catalog=replace(
                catalog,
                labeling=mortal(catalog.labeling),
                labeling_claims=mortal(catalog.labeling_claims),
                labeling_projects=projects,
                annotations=mortal(catalog.annotations),
            ),
            store=mortal(self.workspace.store),
            publish=self._publish,
            settings=self.settings,
            clock=lambda: self.now,
            connection=Connection(self.settings, projects, self._open, lambda: self.now),
        )

    def _open(self, url: str, token: str) -> Studio:
        self.tokens.append(token)
        studio = self.opener(url, token) if self.opener else self.studio
        return cast(Studio, Mortal(studio, self.fate))

    def _publish(self, message: Message) -> None:
        raise AssertionError("labeling's tasks send nothing")

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    # What arrives, and what the service is told.

    def detect(self, labels: Mapping[str, int] | None = None, camera: str = "quai-saone") -> str:
        self.number += 1
        at = NOW - timedelta(hours=2) + timedelta(seconds=self.number)
        return make_image(self.workspace, Wanted(camera, at=at, labels=labels or {"car": 1}))

    def erase(self, image: str) -> None:
        """As far as maintenance begins."""
        gone = Tombstone(id=image, source="quai-saone", sha256_received="00", erased_at=self.now)
        put_json(self.workspace.store, keys.tombstone(image), gone.model_dump_json())

    def delete(self, image: str) -> None:
        """As maintenance does, to its end."""
        self.erase(image)
        for key in (*keys.every_object(image), *self._said(image)):
            self.workspace.store.delete(key)
        catalog = self.workspace.catalog
        catalog.annotations.forget_image(image)
        catalog.labeling.erase_image(image, self.now)
        catalog.images.remove(image)

    def lose_catalog(self) -> None:
        """Of labeling. It was made again from the annotations, of which there were none."""
        with self.workspace.catalog.engine.begin() as connection:
            for table in (LabelingTaskRow, LabelingProjectRow):
                connection.execute(delete(table))
        self.restart()

    def consider(self, image: str) -> None:
        tasks.consider_image(self.context, ImageDetected(image=image))

    def push(self) -> None:
        tasks.push_tasks(self.context, PushTasks())

    def ask(self, *images: str) -> None:
        tasks.push_images(self.context, PushImages(images=images))

    def follow(self) -> None:
        tasks.follow_changes(self.context, FollowChanges())

    def survive(self, doing: Callable[[], None], steps: int) -> bool:
        """Whether a process came to the end of it within so many steps. If not, it was killed, and
        the next one begins when its claims have run out."""
        self.restart(steps)
        try:
            doing()
        except Killed:
            self.wait(400)
            self.restart()
            return False
        self.restart()
        return True

    # What is there.

    @property
    def project(self) -> StudioProject:
        [project] = self.studio.projects.values()
        return project

    def row(self, image: str) -> LabelingTaskRow:
        row = self.workspace.catalog.labeling.get(self.project.key, image)
        assert row is not None
        return row

    def tasks_of(self, image: str) -> list[int]:
        there = self.studio.tasks.values()
        return [task.id for task in there if task.data.get("image_id") == image]

    def task_of(self, image: str) -> int:
        [task] = self.tasks_of(image)
        return task

    def revisions(self, image: str) -> list[Annotation]:
        store = self.workspace.store
        return [Annotation.model_validate_json(store.get(key).data) for key in self._said(image)]

    def _said(self, image: str) -> list[str]:
        return [one.key for one in self.workspace.store.list(keys.annotations_folder(image))]

    def statuses(self, image: str) -> list[str]:
        return [revision.status.value for revision in self.revisions(image)]

    @property
    def reason(self) -> str:
        """Why it fails now."""
        [reason] = {row.reason for row in self.workspace.catalog.labeling_projects.all()} or {""}
        return reason

    @property
    def notes(self) -> list[str]:
        row = self.workspace.catalog.labeling_projects.get(self.project.key)
        return row.notes if row else []


def box(label: str = "car", x: float = 10.0) -> dict[str, Any]:
    """A box a person drew, in percent."""
    return {
        "id": f"{label}-{x}",
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": 320,
        "original_height": 240,
        "image_rotation": 0,
        "value": {
            "x": x,
            "y": 20,
            "width": 30,
            "height": 40,
            "rotation": 0,
            "rectanglelabels": [label],
        },
    }


@contextmanager
def open_trip(folder: Path, server: StudioServer) -> Iterator[RoundTrip]:
    """With a real Label Studio, and a project of its own there."""
    with ExitStack() as stack:

        def open_and_close(url: str, token: str) -> Studio:
            return stack.enter_context(closing(SdkStudio(url, token)))

        trip = RoundTrip(stack.enter_context(closing(open_workspace(folder))))
        trip.token_file.write_text(server.token)
        trip.opener = open_and_close
        trip.set(url=server.url, project=f"Traboule {uuid.uuid4().hex[:8]}")
        yield trip

"""Everything that labeling does to catalog and store, beside a Label Studio in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import keys
from pipeline.catalog import Catalog
from pipeline.catalog.labeling.tasks import TaskState
from pipeline.messages import FollowChanges, ImageDetected, PushImages, PushTasks
from pipeline.storage import ObjectStore
from services.labeling import tasks
from services.labeling.context import LabelingContext
from services.labeling.sending.pushing import CLAIM_S
from services.labeling.sets.formats.matching import StoredImages
from services.labeling.settings import ImageAccess, LabelingSettings, SendPolicy
from services.labeling.signed_images import ImageServer
from services.labeling.studio.connection import Connection
from services.labeling.studio.protocol import IMAGE_ID, NewStudioTask
from tests.fake_studio import FakeStudio
from tests.round_trip import box

if TYPE_CHECKING:
    from tests.unit.infra.init.exercises import Play

OWNER = "owner"  # of the servers: what nobody's rights allow
SECRET = "0123456789abcdef"


class Deadly(FakeStudio):
    """Whoever sends it anything is killed."""

    def import_tasks(self, project_id: int, tasks: Sequence[NewStudioTask]) -> Sequence[int]:
        raise KeyboardInterrupt


class Labeling:
    """The service in the play, and the people at its Label Studio."""

    def __init__(self, play: Play, folder: Path) -> None:
        secret = folder / "secret"
        secret.write_text(SECRET)
        self.play = play
        self.settings = LabelingSettings(
            url="http://studio.test:8080",
            token_file=secret,
            images=ImageAccess.UPLOAD,
            policy=SendPolicy.NTH,
            every_nth=1,
            per_camera_and_day=20,
            compare_every_s=0,
        )
        means = play.cast["labeling"]
        self.catalog: Catalog = means.catalog
        self.store: ObjectStore = means.store
        self.studio = FakeStudio(clock=play.clock)
        self.restart()

    def restart(self) -> None:
        """A process that remembers nothing."""
        projects = self.catalog.labeling_projects
        connection = Connection(self.settings, projects, self._open, self.play.clock)
        self.context = LabelingContext(
            self.catalog,
            self.store,
            self.play.publish,
            self.settings,
            self.play.clock,
            connection,
        )

    def _open(self, url: str, token: str) -> FakeStudio:
        return self.studio

    @contextmanager
    def lost(self, key: str) -> Iterator[None]:
        """Nobody's doing: no service's rights are used."""
        owned = self.play.cast[OWNER].store
        kept = owned.get(key)
        owned.delete(key)
        yield
        owned.put(key, kept)

    def push(self) -> None:
        tasks.push_tasks(self.context, PushTasks())

    def follow(self) -> None:
        tasks.follow_changes(self.context, FollowChanges())

    def consider(self, image: str) -> None:
        tasks.consider_image(self.context, ImageDetected(image=image))

    def ask(self, image: str) -> None:
        tasks.push_images(self.context, PushImages(images=(image,)))

    def task_of(self, image: str) -> int:
        there = self.studio.tasks.values()
        return max(task.id for task in there if task.data.get(IMAGE_ID) == image)

    def state(self, image: str) -> str:
        [row] = self.catalog.labeling.of_image(image)
        return row.state

    def counts(self) -> Mapping[str, int]:
        return self.catalog.annotations.count_by_status()


def label(play: Play, next_image: Callable[[], str], erase: Callable[[str], None]) -> None:
    """`next_image()` captures and detects an image, `erase` has maintenance erase one."""
    with tempfile.TemporaryDirectory() as folder:
        labeling = Labeling(play, Path(folder))
        labeling.consider(next_image())  # no project is known yet
        labeling.push()
        labeling.follow()
        said = _annotate(labeling, next_image())
        _fail(labeling, next_image())
        _resume(labeling, next_image())
        _compare(labeling, next_image())
        assert StoredImages(labeling.store).find_bytes("0" * 64) is None, "an import's question"
        server = ImageServer(labeling.store, lambda: SECRET)
        assert server._read(said)
        _erase(labeling, said, erase)


def _annotate(labeling: Labeling, image: str) -> str:
    labeling.consider(image)
    labeling.push()
    assert labeling.state(image) == TaskState.SENT
    studio, task = labeling.studio, labeling.task_of(image)
    first = studio.annotate(task, [box()])
    second = studio.annotate(task, [])
    labeling.play.seconds += 60
    labeling.follow()
    assert labeling.counts() == {"labelled": 1, "negative": 1}
    studio.change_annotation(first, result=[box("bus")])
    studio.delete_annotation(second)
    labeling.play.seconds += 60
    labeling.follow()
    assert labeling.counts() == {"labelled": 1, "deleted": 1}
    studio.annotate(task, [box("car")])
    labeling.play.seconds += 60
    with labeling.lost(keys.detections(image)):  # the catalog knows the image's size as well
        labeling.follow()
    assert labeling.counts() == {"labelled": 2, "deleted": 1}
    return image


def _fail(labeling: Labeling, image: str) -> None:
    """Label Studio is down, then refuses; the image is gone; a person asks for it all the same."""
    labeling.studio.down = True
    labeling.push()
    labeling.studio.down = False
    labeling.play.seconds += 600
    labeling.studio.refuses = "the token is revoked"
    labeling.push()
    labeling.studio.refuses = None
    labeling.play.seconds += 600
    with labeling.lost(keys.stored_image(image)):
        labeling.push()
    assert labeling.state(image) == TaskState.FAILED
    labeling.ask(image)
    labeling.push()
    assert labeling.state(image) == TaskState.SENT


def _resume(labeling: Labeling, image: str) -> None:
    """A sender died: before it sent anything."""
    labeling.consider(image)
    there = labeling.studio
    labeling.studio = Deadly(clock=labeling.play.clock)
    labeling.studio.projects, labeling.studio.tasks = there.projects, there.tasks
    labeling.restart()
    try:
        labeling.push()
    except KeyboardInterrupt:
        labeling.studio = there
        labeling.restart()
    labeling.play.seconds += CLAIM_S + 1
    labeling.push()
    assert labeling.state(image) == TaskState.SENT


def _erase(labeling: Labeling, image: str, erase: Callable[[str], None]) -> None:
    erase(image)
    assert labeling.state(image) == TaskState.ERASED
    labeling.follow()
    assert labeling.catalog.labeling.of_image(image) == []
    assert all(task.data.get(IMAGE_ID) != image for task in labeling.studio.tasks.values())


def _compare(labeling: Labeling, image: str) -> None:
    """A person deletes a task, and imports another by hand."""
    labeling.consider(image)
    labeling.push()
    task = labeling.task_of(image)
    labeling.studio.annotate(task, [box()])
    labeling.follow()
    labeling.studio.delete_task(task)
    labeling.play.seconds += 60
    labeling.follow()
    assert labeling.state(image) == TaskState.GONE
    assert labeling.counts()["deleted"] == 2
    [project] = labeling.studio.projects
    by_hand = NewStudioTask({"image": "http://h/1.jpg", IMAGE_ID: image})
    labeling.studio.import_tasks(project, [by_hand])
    labeling.play.seconds += 60
    labeling.follow()
    assert labeling.state(image) == TaskState.SENT

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.admission import Admission
from pipeline.catalog.drops import DropFilter
from pipeline.catalog.tables import CameraRow
from pipeline.errors import FetchError, StorageError
from pipeline.fetch import Response, Validators
from pipeline.ingest import Ingest
from pipeline.records import Camera, Outcome
from pipeline.storage import StoredObject
from services.capture.poll import CaptureContext, poll
from tests.stages import Stages, draw, open_stages

CAMERA = Camera(id="quai", url="http://quai.example/1.jpg", every_s=60)


@dataclass
class Answers:
    """Stands for the camera: its answers in turn, and what it was asked with."""

    answers: list[Response | FetchError]
    asked: list[Validators | None] = field(default_factory=list)

    def fetch(self, url: str, validators: Validators | None = None) -> Response:
        self.asked.append(validators)
        answer = self.answers.pop(0)
        if isinstance(answer, FetchError):
            raise answer
        return answer


def ok(body: bytes, **headers: str) -> Response:
    return Response(200, body, headers, CAMERA.url, 0.1)


@dataclass
class Desk:
    stages: Stages
    camera: Answers
    context: CaptureContext

    def poll(self) -> Outcome | None:
        """Lease the camera, as the scheduler does, and poll it."""
        stages, cameras = self.stages, self.stages.catalog.cameras
        stages.seconds += 10_000
        until = stages.clock() + timedelta(seconds=45)
        assert cameras.claim("quai", "token", stages.clock(), until)
        return poll(self.context, "quai", "token")

    @property
    def row(self) -> CameraRow:
        row = self.stages.catalog.cameras.get("quai")
        assert row is not None
        return row


def open_desk(tmp_path: Path, *answers: Response | FetchError) -> Desk:
    stages = open_stages(tmp_path)
    stages.detecting = False
    stages.catalog.cameras.save(CAMERA, stages.clock())
    camera = Answers(list(answers))
    ingest = Ingest(stages.catalog, stages.store, stages.publish, Admission(stages.catalog))
    context = CaptureContext(
        stages.catalog,
        stages.store,
        camera,  # type: ignore[arg-type]
        ingest,
        0,
        stages.clock,
    )
    return Desk(stages, camera, context)


def test_new_frame_is_kept_and_the_camera_due_in_an_interval(tmp_path: Path) -> None:
    desk = open_desk(tmp_path, ok(draw(1)))
    assert desk.poll() is Outcome.KEPT
    assert desk.row.kept_at == desk.stages.clock()
    wait_s = (desk.row.due_at - desk.stages.clock()).total_seconds()
    assert 30 <= wait_s <= 90
    assert len(desk.stages.keys()) == 2


def test_validators_of_an_answer_are_sent_with_the_next_question(tmp_path: Path) -> None:
    unchanged = Response(304, b"", {}, CAMERA.url, 0.1)
    first = ok(draw(1), etag='"1"', **{"last-modified": "yesterday"})
    desk = open_desk(tmp_path, first, unchanged, unchanged)
    assert [desk.poll() for _ in range(3)] == [
        Outcome.KEPT,
        Outcome.NOT_MODIFIED,
        Outcome.NOT_MODIFIED,
    ]
    assert desk.camera.asked[0] == Validators(None, None)
    assert desk.camera.asked[1:] == [Validators('"1"', "yesterday")] * 2


def test_validators_of_a_picture_that_was_cut_short_are_forgotten(tmp_path: Path) -> None:
    whole = draw(1)
    desk = open_desk(tmp_path, ok(whole[:-600], etag='"1"'), ok(whole, etag='"1"'))
    assert [desk.poll(), desk.poll()] == [Outcome.TRUNCATED, Outcome.KEPT]
    assert desk.camera.asked == [Validators(None, None)] * 2


def test_lease_runs_from_the_polls_beginning(tmp_path: Path) -> None:
    desk = open_desk(tmp_path, ok(draw(1)))
    cameras, now = desk.stages.catalog.cameras, desk.stages.clock()
    assert cameras.claim("quai", "token", now, now + timedelta(seconds=1))
    row = cameras.begin_poll("quai", "token", now, now + timedelta(seconds=45))
    assert row is not None
    assert row.lease_until == now + timedelta(seconds=45)
    assert cameras.begin_poll("quai", "token", now + timedelta(seconds=46), now) is None


def test_slot_of_the_host_lasts_as_long_as_the_lease(tmp_path: Path) -> None:
    desk = open_desk(tmp_path, ok(draw(1)))
    catalog, now = desk.stages.catalog, desk.stages.clock()
    soon, later = now + timedelta(seconds=1), now + timedelta(seconds=45)
    assert catalog.cameras.claim("quai", "token", now, soon)
    assert catalog.slots.claim("quai.example", 1, "token", now, soon)
    assert catalog.cameras.begin_poll("quai", "token", now, later) is not None
    assert catalog.slots.free("quai.example", 1, soon + timedelta(seconds=1)) == 0
    assert catalog.slots.free("quai.example", 1, later + timedelta(seconds=1)) == 1


def test_frame_that_could_not_be_stored_is_asked_for_again(tmp_path: Path) -> None:
    desk = open_desk(tmp_path, ok(draw(1), etag='"1"'), ok(draw(1), etag='"1"'))
    full = replace(desk.context, ingest=replace(desk.context.ingest, store=Full()))  # type: ignore[arg-type]
    room, desk.context = desk.context, full
    assert desk.poll() is Outcome.NOT_STORED
    assert desk.row.etag is None
    assert desk.row.failures == 1
    desk.context = room
    assert desk.poll() is Outcome.KEPT


def test_failing_camera_is_backed_off_and_recovers(tmp_path: Path) -> None:
    error = FetchError(Outcome.HTTP_ERROR, "quai.example answered 500")
    desk = open_desk(tmp_path, error, error, ok(draw(1)))
    waits = []
    for expected in (1, 2):
        assert desk.poll() is Outcome.HTTP_ERROR
        assert desk.row.failures == expected
        waits.append((desk.row.due_at - desk.stages.clock()).total_seconds())
    assert waits[0] < waits[1]
    assert desk.poll() is Outcome.KEPT
    assert desk.row.failures == 0
    listed = desk.stages.catalog.drops.search(DropFilter(camera="quai"))
    assert [drop.reason for drop in listed] == ["quai.example answered 500"] * 2


def test_retry_after_is_obeyed(tmp_path: Path) -> None:
    desk = open_desk(tmp_path, FetchError(Outcome.RATE_LIMITED, "slower", retry_after_s=3000))
    desk.poll()
    assert (desk.row.due_at - desk.stages.clock()).total_seconds() >= 3000


def test_poll_whose_lease_is_over_does_nothing(tmp_path: Path) -> None:
    desk = open_desk(tmp_path)
    assert poll(desk.context, "quai", "some other token") is None
    assert desk.camera.asked == []
    assert desk.stages.catalog.counters.totals() == {}


def test_nothing_is_fetched_when_the_disk_is_nearly_full(tmp_path: Path) -> None:
    desk = open_desk(tmp_path)
    desk.context = replace(desk.context, min_free_bytes=10**18)
    assert desk.poll() is Outcome.DISK_LOW
    assert "make room" in desk.row.reason
    assert desk.row.failures == 0


@pytest.mark.parametrize("outcome", [Outcome.SAME_BYTES, Outcome.NEAR_DUPLICATE])
def test_drop_is_counted_once(tmp_path: Path, outcome: Outcome) -> None:
    second = draw(1) if outcome is Outcome.SAME_BYTES else draw(1, noise=1)
    desk = open_desk(tmp_path, ok(draw(1)), ok(second))
    assert [desk.poll(), desk.poll()] == [Outcome.KEPT, outcome]
    assert desk.stages.catalog.counters.totals() == {"quai": {"kept": 1, outcome: 1}}
    listed = len(desk.stages.catalog.drops.search(DropFilter()))
    assert listed == (1 if outcome is Outcome.NEAR_DUPLICATE else 0)


class Full:
    """A store without room."""

    def put(self, key: str, stored: StoredObject) -> None:
        raise StorageError("no room")

from __future__ import annotations

from datetime import timedelta

import pytest

from pipeline import keys
from pipeline.cadence import utc_now
from pipeline.errors import BrokerError, CatalogError, UserError
from pipeline.messages import DeleteImage, Message, RemoveCamera, RestoreDrop, SaveCamera
from pipeline.records import Camera
from tests.factories import MORNING, Wanted, make_camera, make_image
from tests.unit.traboule.conftest import Stages
from traboule.sending import Sent, open_sender
from traboule.workspace import Workspace

CAMERA = Camera(id="quai", url="http://127.0.0.1:9/quai.jpg")


@pytest.fixture
def sent(composed: Workspace, stages: Stages) -> Sent:
    return Sent(composed, stages.publish)


def make_drop(workspace: Workspace) -> str:
    return make_image(workspace, Wanted(at=utc_now().replace(microsecond=0), state="dropped"))


def test_cameras_are_saved_by_whoever_is_sent_them(sent: Sent, stages: Stages) -> None:
    sent.save_cameras([CAMERA, CAMERA.model_copy(update={"id": "pont"})])
    assert stages.sent[0] == SaveCamera(camera=CAMERA)
    assert [row.id for row in stages.workspace.catalog.cameras.all()] == ["pont", "quai"]


def test_no_camera_is_no_message(sent: Sent, stages: Stages) -> None:
    sent.save_cameras([])
    assert stages.sent == []


def test_camera_that_is_not_as_it_should_be_is_not_done(sent: Sent, stages: Stages) -> None:
    make_camera(stages.workspace, "quai")
    stages.asleep = True
    with pytest.raises(UserError) as told:
        sent.save_cameras([CAMERA])
    assert str(told.value) == (
        "asked, not carried out yet: scheduler is to save quai, and will as soon as it can; "
        "see: docker compose logs scheduler"
    )


def test_camera_is_removed(sent: Sent, stages: Stages) -> None:
    make_camera(stages.workspace, "quai")
    sent.remove_camera("quai")
    assert stages.sent == [RemoveCamera(camera="quai")]


@pytest.mark.parametrize("state", ["detected", "stored", "dropped"])
def test_image_is_erased_when_only_its_tombstone_is_left(
    sent: Sent, stages: Stages, state: str
) -> None:
    image = make_image(stages.workspace, Wanted(state=state))
    sent.delete_image(image, "asked by letter")
    assert stages.sent == [DeleteImage(image=image, reason="asked by letter")]
    assert [entry.key for entry in stages.workspace.store.list("")] == [keys.tombstone(image)]


def test_image_without_a_row_is_erased_as_well(sent: Sent, stages: Stages) -> None:
    image = make_image(stages.workspace, Wanted(state="stored"))
    stages.workspace.catalog.images.remove(image)
    sent.delete_image(image, "")
    assert not stages.workspace.store.exists(keys.frame(image))


def test_image_half_erased_is_not_done(sent: Sent, stages: Stages) -> None:
    image = make_image(stages.workspace, Wanted())

    def leave_the_picture(message: Message) -> None:
        picture = stages.workspace.store.get(keys.stored_image(image))
        stages.publish(message)
        stages.workspace.store.put(keys.stored_image(image), picture)

    with pytest.raises(UserError, match="maintenance is to erase"):
        Sent(sent.workspace, leave_the_picture).delete_image(image, "")


@pytest.mark.parametrize("image", ["quai-saone-20000101T000000Z-00000000", "../etc/passwd", ""])
def test_unknown_image_is_refused_before_anything_is_sent(
    sent: Sent, stages: Stages, image: str
) -> None:
    with pytest.raises(UserError, match="no image"):
        sent.delete_image(image, "")
    with pytest.raises(UserError, match="no image"):
        sent.restore_drop(image)
    assert stages.sent == []


def test_drop_is_restored(sent: Sent, stages: Stages) -> None:
    image = make_drop(stages.workspace)
    sent.restore_drop(image)
    assert stages.sent == [RestoreDrop(image=image)]
    with pytest.raises(UserError, match="was restored already"):
        sent.restore_drop(image)
    assert len(stages.sent) == 1


def test_drop_that_cannot_be_restored_is_refused_before_anything_is_sent(
    sent: Sent, stages: Stages
) -> None:
    gone = make_drop(stages.workspace)
    stages.workspace.catalog.images.mark_expired(gone, utc_now())
    old = make_image(stages.workspace, Wanted(at=utc_now() - timedelta(hours=25), state="dropped"))
    for image in (gone, old):
        with pytest.raises(UserError, match="its bytes are gone"):
            sent.restore_drop(image)
    kept = make_image(stages.workspace, Wanted(at=MORNING))
    with pytest.raises(UserError, match="it was kept"):
        sent.restore_drop(kept)
    assert stages.sent == []


def test_catalog_that_does_not_answer_meanwhile_is_asked_again(
    sent: Sent, stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    cameras = type(stages.workspace.catalog.cameras)
    answer, asked = cameras.all, []

    def fail_once(self: object) -> object:
        asked.append(1)
        if len(asked) == 1:
            raise CatalogError("the catalog did not answer")
        return answer(stages.workspace.catalog.cameras)

    monkeypatch.setattr(cameras, "all", fail_once)
    sent.save_cameras([CAMERA])
    assert len(asked) == 2


def test_broker_that_is_away_is_told_with_its_reason(composed: Workspace) -> None:
    sent = Sent(composed, open_sender("redis://cli:secret@127.0.0.1:9/0"))
    with pytest.raises(BrokerError) as told:
        sent.save_cameras([CAMERA])
    assert "Connection refused; see: docker compose logs broker" in str(told.value)
    assert "secret" not in str(told.value)

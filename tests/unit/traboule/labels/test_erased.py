from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from tests.factories import MORNING, Wanted, make_camera, make_image
from tests.fake_studio import FakeStudio
from tests.unit.traboule.conftest import Run
from traboule.labels.connection import FILE, place_of
from traboule.workspace import Workspace


@pytest.fixture(autouse=True)
def _without_logs() -> Iterator[None]:
    """As in a process of its own."""
    with capture_logs():
        yield


@pytest.fixture
def images(run: Run, workspace: Workspace, connected: str) -> list[str]:
    """Sent to the Label Studio that is connected."""
    make_camera(workspace)
    times = (MORNING + timedelta(seconds=n) for n in range(3))
    made = [make_image(workspace, Wanted(at=at, labels={"car": 1})) for at in times]
    assert run("labels", "push", "--all").status == 0
    return made


def erase(run: Run, image: str) -> str:
    ran = run("images", "delete", image, "--yes")
    assert ran.status == 0
    return ran.out


def test_task_of_an_erased_image_is_deleted_where_it_is_connected(
    run: Run, images: list[str], studio: FakeStudio
) -> None:
    assert "its labeling task is deleted by a run" in erase(run, images[0])
    assert "erased image" not in run("labels", "status").out.partition("note:")[2]
    run("labels", "pull")
    assert len(studio.tasks) == 2


def test_advice_is_what_can_be_done_in_a_container(
    images: list[str], run_composed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = erase(run_composed, images[0])
    assert "its labeling task is deleted by labeling\n" in told
    monkeypatch.setenv("LABELING_URL", "http://elsewhere.example")
    told = erase(run_composed, images[1])
    assert "say so: docker compose run --rm labels labels forget-erased" in told
    assert "traboule labels" not in told


def test_image_that_was_never_sent_leaves_nothing(run: Run, workspace: Workspace) -> None:
    image = make_image(workspace, Wanted())
    assert "labeling task" not in erase(run, image)


def test_disconnecting_tells_what_stays_over_there(
    run: Run, images: list[str], studio: FakeStudio
) -> None:
    task = min(studio.tasks)
    erase(run, images[0])
    told = run("labels", "disconnect").out
    place = f"still at http://127.0.0.1:8080/projects/1 ({task}): connect it again, or delete them"
    assert f"labeling tasks of 1 erased image are {place}" in told
    assert "that you erase from now on stay there" in told


def test_task_in_a_label_studio_of_before_is_told_until_a_person_says_it_is_gone(
    run: Run, workspace: Workspace, images: list[str], studio: FakeStudio
) -> None:
    place = f"still at http://127.0.0.1:8080/projects/1 ({min(studio.tasks)}): connect it again, or"
    run("labels", "disconnect")
    assert place in erase(run, images[0])
    assert place in run("labels", "status").out
    assert run("labels", "forget-erased").out == "forgot labeling tasks of 1 erased image\n"
    assert "still at" not in run("labels", "status").out
    assert workspace.catalog.labeling.of_image(images[0]) == []


def test_labelings_rights_are_needed_to_forget(run_composed: Run, workspace: Workspace) -> None:
    assert "docker compose run --rm labels labels" in run_composed("labels", "forget-erased").err


def test_what_is_to_be_deleted_where_it_is_connected_is_not_forgotten(
    run: Run, images: list[str], studio: FakeStudio
) -> None:
    erase(run, images[0])
    assert run("labels", "forget-erased").out == "forgot labeling tasks of 0 erased images\n"
    run("labels", "pull")
    assert len(studio.tasks) == 2


def test_connection_that_was_damaged_keeps_nobody_from_erasing_or_disconnecting(
    run: Run, workspace: Workspace, images: list[str]
) -> None:
    assert workspace.data is not None
    (place_of(workspace.data) / FILE).write_text("{")
    assert "still at" in erase(run, images[0])
    assert run("labels", "disconnect").status == 0

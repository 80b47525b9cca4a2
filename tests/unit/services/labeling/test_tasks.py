from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pipeline.settings import PipelineSettings
from services.labeling import tasks
from services.labeling.settings import LabelingSettings
from services.labeling.studio.deadlines import GRACE_S, find_left_s
from services.labeling.studio.protocol import StudioProject
from tests.fake_studio import FakeStudio
from tests.round_trip import RoundTrip, box


def test_image_goes_out_and_its_correction_comes_back(trip: RoundTrip) -> None:
    """The whole way, with a restart between every two steps."""
    trip.follow()
    image = trip.detect({"car": 2, "person": 1})
    steps: tuple[Callable[[], None], ...] = (
        lambda: trip.consider(image),
        trip.push,
        trip.follow,
    )
    for step in steps:
        trip.restart()
        step()
    task = trip.task_of(image)
    [prediction] = trip.studio.tasks[task].predictions
    corrected = [*prediction["result"][:2], box("bus")]
    trip.studio.annotate(task, corrected, parent_prediction=prediction["id"])
    trip.restart()
    trip.follow()
    [annotation] = trip.revisions(image)
    assert sorted(shape.label for shape in annotation.shapes)[0] == "bus"
    assert len(annotation.shapes) == 3
    assert annotation.problems == ()
    assert trip.notes == []


@pytest.mark.parametrize("task", ["push", "follow"])
def test_task_ends_soon_after_its_time_also_where_it_waits_for_the_connection(
    trip: RoundTrip, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    left_s: list[float] = []
    find = FakeStudio.find_projects

    def measure(studio: FakeStudio, title: str) -> Sequence[StudioProject]:
        left_s.append(find_left_s())
        return find(studio, title)

    monkeypatch.setattr(FakeStudio, "find_projects", measure)
    trip.set(run_s=600)
    getattr(trip, task)()
    assert [GRACE_S < left <= 600 + GRACE_S for left in left_s] == [True]
    assert find_left_s() == math.inf


def test_context_is_built_without_asking_anybody(tmp_path: Path) -> None:
    settings = LabelingSettings(url="http://127.0.0.1:9", token_file=tmp_path / "token")
    context = tasks.build_context(PipelineSettings.of_folder(tmp_path), settings, lambda _: None)
    try:
        assert context.connection.is_configured
        assert context.connection.project is None
        with context.connection.session() as connected:
            assert connected is None, "there is no token yet"
        [row] = context.catalog.labeling_projects.all()
        assert "the token file" in row.reason
    finally:
        context.catalog.close()


def test_real_client_is_opened_with_address_and_token() -> None:
    studio = tasks.open_studio("http://127.0.0.1:9", "0123456789abcdef0123456789abcdef01234567")
    assert studio.url == "http://127.0.0.1:9"
    assert "0123456789" not in repr(studio)
    studio.close()

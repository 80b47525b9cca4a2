from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.factories import Wanted, make_image
from tests.fake_studio import FakeStudio
from tests.round_trip import box
from traboule.labels.reaching import open_labeling
from traboule.labels.rounds import Rounds
from traboule.workspace import Workspace


@pytest.fixture
def told() -> list[str]:
    return []


class Stop(threading.Event):
    """Set after so many pauses; between two of them something happens."""

    def __init__(self, *happening: Callable[[], None]) -> None:
        super().__init__()
        self._happening = list(happening)

    def wait(self, timeout: float | None = None) -> bool:
        if not self._happening:
            self.set()
        else:
            self._happening.pop(0)()
        return self.is_set()


def go_on(workspace: Workspace, told: list[str], *happening: Callable[[], None]) -> None:
    """A round, and another after each of what happens."""
    news = threading.Event()

    def followed_by_a_hint(happens: Callable[[], None]) -> Callable[[], None]:
        def step() -> None:
            happens()
            news.set()

        return step

    stop = Stop(*map(followed_by_a_hint, happening))
    Rounds(open_labeling(workspace), told.append).go_on(stop, news)


def test_rounds_send_follow_and_tell(
    workspace: Workspace, studio: FakeStudio, connected: str, told: list[str]
) -> None:
    make_image(workspace, Wanted(labels={"car": 1}))

    def annotate() -> None:
        [task] = studio.tasks
        studio.annotate(task, [box()])

    go_on(workspace, told, annotate)
    assert told == ["sent 1 image", "received 1 annotation"]


def test_rounds_get_over_a_label_studio_that_fails(
    workspace: Workspace,
    studio: FakeStudio,
    connected: str,
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.labeling.studio.connection.FIRST_PAUSE_S", 0)
    studio.down = True
    go_on(workspace, told, lambda: None, lambda: setattr(studio, "down", False))
    assert told == [
        f"Label Studio fails: {studio.url} does not answer",
        "Label Studio answers again",
    ]

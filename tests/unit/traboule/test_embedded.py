from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.messages import FollowChanges, ImageDetected, ImageStored, Message
from pipeline.routes import ROUTES
from pipeline.settings import PipelineSettings
from services.labeling.settings import LabelingSettings
from traboule.embedded import Group, make_groups, publish_to

CONNECTED = LabelingSettings(url="http://127.0.0.1:9")


def groups(folder: Path, connected: LabelingSettings | None) -> dict[str, Group]:
    return make_groups(PipelineSettings.of_folder(folder), connected)


def beats(made: dict[str, Group]) -> set[str]:
    return set(made["scheduler"].app.conf.beat_schedule)


def test_labeling_is_there_only_where_a_label_studio_is_connected(tmp_path: Path) -> None:
    without, with_it = groups(tmp_path, None), groups(tmp_path, CONNECTED)
    assert with_it.keys() - without.keys() == {"labeling"}
    assert beats(with_it) - beats(without) == {"labeling.push_tasks", "labeling.follow_changes"}
    assert {route.queue for route in ROUTES} == set(with_it)


@pytest.mark.parametrize(("connected", "sent"), [(None, 1), (CONNECTED, 3)])
def test_what_nobody_takes_is_not_sent(
    tmp_path: Path, connected: LabelingSettings | None, sent: int
) -> None:
    told: list[Message] = []
    publish = publish_to(groups(tmp_path, connected), told.append)
    for message in (ImageStored(image="a"), ImageDetected(image="a"), FollowChanges()):
        publish(message)
    assert len(told) == sent

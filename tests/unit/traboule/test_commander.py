from __future__ import annotations

from dataclasses import replace

from pipeline.settings import PipelineSettings
from traboule.commander import Direct, find_commander
from traboule.sending import Sent
from traboule.workspace import Workspace


def test_commands_about_a_folder_are_carried_out_here(workspace: Workspace) -> None:
    assert find_commander(workspace) == Direct(workspace)


def test_commands_are_sent_to_stages_elsewhere(composed: Workspace) -> None:
    assert isinstance(find_commander(composed), Sent)


def test_commands_are_not_sent_where_nobody_can_hear_them(composed: Workspace) -> None:
    data = composed.settings.model_dump() | {"broker_url": "memory://localhost/"}
    alone = replace(composed, settings=PipelineSettings(**data))
    assert find_commander(alone) == Direct(alone)

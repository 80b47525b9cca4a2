from __future__ import annotations

from datetime import timedelta

from pipeline import keys
from pipeline.cadence import utc_now
from pipeline.catalog.cameras import PollEnd
from pipeline.records import Outcome
from tests.factories import MORNING, Wanted, make_camera, make_image
from tests.unit.traboule.conftest import Run
from traboule.workspace import Workspace

NEAR = Wanted(state="dropped", reason="2 bits apart", resembles="quai-saone-like")


def fail_a_poll(workspace: Workspace) -> None:
    make_camera(workspace, "pont")
    now, cameras = utc_now(), workspace.catalog.cameras
    assert cameras.claim("pont", "token", now + timedelta(days=1), now + timedelta(days=2))
    end = PollEnd(Outcome.TIMED_OUT, MORNING + timedelta(hours=1), now, "too slow", failed=True)
    assert cameras.finish("pont", "token", end)


def test_list_says_why_and_until_when(run: Run, workspace: Workspace) -> None:
    image = make_image(workspace, NEAR)
    assert run("drops", "list", "--json").json == [
        {
            "id": image,
            "camera": "quai-saone",
            "time": "2026-11-21T09:16:40Z",
            "outcome": "near-duplicate",
            "reason": "2 bits apart",
            "resembles": "quai-saone-like",
            "until": "2026-11-22T09:16:40Z",
            "restored_at": None,
        }
    ]


def test_list_names_the_camera_where_there_are_no_bytes(run: Run, workspace: Workspace) -> None:
    fail_a_poll(workspace)
    _, line = run("drops", "list").out.splitlines()
    assert line.split()[0] == "pont"
    assert "too slow" in line


def test_list_filters(run: Run, workspace: Workspace) -> None:
    make_image(workspace, NEAR)
    fail_a_poll(workspace)

    def listed(*options: str) -> list[str]:
        return [drop["outcome"] for drop in run("drops", "list", "--json", *options).json]

    assert listed() == ["timed-out", "near-duplicate"]
    assert listed("--camera", "pont") == ["timed-out"]
    assert listed("--outcome", "near-duplicate") == ["near-duplicate"]
    assert listed("--restorable") == ["near-duplicate"]
    assert listed("--since", "2026-11-21T10:00Z") == ["timed-out"]
    assert listed("--until", "2026-11-21T10:00Z") == ["near-duplicate"]
    assert listed("--limit", "1") == ["timed-out"]


def test_list_refuses_an_unknown_outcome(run: Run, workspace: Workspace) -> None:
    ran = run("drops", "list", "--outcome", "lost")
    assert ran.status == 2
    assert "near-duplicate" in ran.err


def test_restore_moves_the_bytes_into_the_flow(run: Run, workspace: Workspace) -> None:
    image = make_image(workspace, NEAR)
    data = workspace.store.get(keys.dropped(image)).data
    ran = run("drops", "restore", image)
    assert ran.status == 0
    assert workspace.store.get(keys.frame(image)).data == data
    assert not workspace.store.exists(keys.dropped(image))
    row = workspace.catalog.images.get(image)
    assert row is not None and row.state == "stored"
    assert run("drops", "list", "--restorable", "--json").json == []


def test_restore_of_what_is_gone_is_one_line(run: Run, workspace: Workspace) -> None:
    image = make_image(workspace, NEAR)
    run("drops", "restore", image)
    ran = run("drops", "restore", image)
    assert ran.status == 1
    assert "its bytes are gone" in ran.err
    assert run("drops", "restore", "nonsense").err.startswith("traboule: no image 'nonsense'")

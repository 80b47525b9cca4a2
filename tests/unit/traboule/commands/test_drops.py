from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pipeline import keys
from pipeline.cadence import utc_now
from pipeline.catalog.cameras import PollEnd
from pipeline.catalog.drops import DropFilter
from pipeline.catalog.images import Found
from pipeline.messages import RestoreDrop
from pipeline.records import Outcome
from tests.factories import MORNING, Wanted, make_camera, make_image
from tests.unit.traboule.conftest import Run, Stages
from traboule.workspace import Workspace

NEAR = Wanted(state="dropped", reason="2 bits apart", resembles="quai-saone-like")


def make_restorable(workspace: Workspace) -> str:
    """Dropped just now: after a day there is nothing to restore."""
    return make_image(workspace, replace(NEAR, at=utc_now().replace(microsecond=0)))


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
    image = make_restorable(workspace)
    data = workspace.store.get(keys.dropped(image)).data
    ran = run("drops", "restore", image)
    assert ran.status == 0
    assert workspace.store.get(keys.frame(image)).data == data
    assert not workspace.store.exists(keys.dropped(image))
    row = workspace.catalog.images.get(image)
    assert row is not None and row.state == "stored"
    assert run("drops", "list", "--restorable", "--json").json == []


def test_restored_drop_is_listed_as_restored(run: Run, workspace: Workspace) -> None:
    image = make_restorable(workspace)
    run("drops", "restore", image)
    at = workspace.catalog.drops.search(DropFilter())[0].restored_at
    assert at is not None
    assert f"restored {at.astimezone():%Y-%m-%d %H:%M:%S}" in run("drops", "list").out


@pytest.mark.parametrize("detected", [False, True])
def test_restore_of_what_was_restored_says_so(
    run: Run, workspace: Workspace, detected: bool
) -> None:
    image = make_restorable(workspace)
    run("drops", "restore", image)
    if detected:
        workspace.catalog.images.mark_detected(image, Found(MORNING, 0, 0))
    ran = run("drops", "restore", image)
    assert (ran.status, ran.err) == (
        1,
        f"traboule: {image} was restored already; see: traboule images show {image}\n",
    )


def test_restore_of_what_was_kept_says_so(run: Run, workspace: Workspace) -> None:
    image = make_image(workspace, Wanted(at=MORNING + timedelta(minutes=1)))
    make_image(workspace, NEAR)
    assert "cannot be restored: it was kept" in run("drops", "restore", image).err


def test_list_of_an_unknown_camera_is_one_line(run: Run, workspace: Workspace) -> None:
    ran = run("drops", "list", "--camera", "nobody")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == "traboule: no camera 'nobody'; see: traboule cameras list\n"


def test_list_of_a_removed_camera_shows_its_drops(run: Run, workspace: Workspace) -> None:
    fail_a_poll(workspace)
    workspace.catalog.cameras.remove("pont")
    assert [
        drop["outcome"] for drop in run("drops", "list", "--camera", "pont", "--json").json
    ] == ["timed-out"]


def test_list_of_what_is_only_counted_tells_the_count(run: Run, workspace: Workspace) -> None:
    counters = workspace.catalog.counters
    for hours in (0, 0, 5):
        counters.add("pont", "same-bytes", MORNING + timedelta(hours=hours))
    counters.add("quai", "same-bytes", MORNING)
    counters.add("quai", "kept", MORNING)

    def told(outcome: str, *options: str) -> str:
        ran = run("drops", "list", "--outcome", outcome, *options)
        assert (ran.status, ran.err) == (0, "")
        return ran.out.removeprefix(f"{outcome} is counted by the hour, not listed: ").rstrip()

    assert told("same-bytes") == "4 polls"
    assert told("kept") == "1 poll"
    assert told("not-modified") == "0 polls"
    assert told("same-bytes", "--camera", "pont") == "3 polls"
    assert told("same-bytes", "--since", "2026-11-21T10:00Z") == "1 poll"
    assert told("same-bytes", "--until", "2026-11-21T10:00Z") == "3 polls"
    ran = run("drops", "list", "--outcome", "same-bytes", "--json")
    assert ran.json == []
    assert "4 polls" in ran.err


def test_restore_of_what_is_gone_is_one_line(run: Run, workspace: Workspace) -> None:
    image = make_restorable(workspace)
    workspace.store.delete(keys.dropped(image))
    ran = run("drops", "restore", image)
    assert ran.status == 1
    assert "its bytes are gone" in ran.err
    assert run("drops", "restore", "nonsense").err.startswith("traboule: no image 'nonsense'")


def test_restore_goes_to_maintenance_where_it_is_elsewhere(
    run_composed: Run, stages: Stages, workspace: Workspace
) -> None:
    image = make_restorable(workspace)
    ran = run_composed("drops", "restore", image)
    assert ran.status == 0
    assert ran.out.endswith(f"restored {image}; it waits for detection\n")
    assert stages.sent == [RestoreDrop(image=image)]
    assert workspace.store.exists(keys.frame(image))

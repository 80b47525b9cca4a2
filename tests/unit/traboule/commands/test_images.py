from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path

import pytest
import typer

from pipeline import keys
from pipeline.messages import DeleteImage
from tests.factories import MORNING, Wanted, make_camera, make_image
from tests.unit.traboule.conftest import Run, Stages
from traboule.workspace import CATALOG_BEFORE, SHEET_NAME, Workspace

UNKNOWN = "quai-saone-20000101T000000Z-00000000"


def ids(records: list[dict[str, object]]) -> list[object]:
    return [record["id"] for record in records]


def test_list_gives_the_newest_first(run: Run, workspace: Workspace) -> None:
    older = make_image(workspace, Wanted(labels={"face": 2, "car": 3}))
    newer = make_image(workspace, Wanted(at=MORNING + timedelta(minutes=1)))
    listed = run("images", "list", "--json").json
    assert ids(listed) == [newer, older]
    assert listed[1] == {
        "id": older,
        "camera": "quai-saone",
        "time": "2026-11-21T09:16:40Z",
        "state": "detected",
        "reason": "",
        "width": 320,
        "height": 240,
        "faces": 2,
        "vehicles": 3,
        "labels": {"car": 3, "face": 2},
    }


def test_list_is_a_line_an_image_for_other_programs(run: Run, workspace: Workspace) -> None:
    image = make_image(workspace, Wanted(labels={"car": 3}))
    header, line = run("images", "list").out.splitlines()
    assert header.split()[:3] == ["id", "camera", "time"]
    assert line.split()[0] == image
    assert "car 3" in line


def test_list_filters(run: Run, workspace: Workspace) -> None:
    car = make_image(workspace, Wanted(labels={"car": 1}))
    late = make_image(workspace, Wanted(at=MORNING + timedelta(hours=1), labels={"bus": 1}))
    other = make_image(workspace, Wanted(camera="pont", at=MORNING + timedelta(hours=2)))

    def listed(*options: str) -> list[object]:
        return ids(run("images", "list", "--json", *options).json)

    assert listed("--camera", "pont") == [other]
    assert listed("--label", "car") == [car]
    assert listed("--since", "2026-11-21T09:30Z") == [other, late]
    assert listed("--until", "2026-11-21T09:30Z") == [car]
    assert listed("--limit", "1") == [other]


def test_list_leaves_out_near_duplicates_unless_asked(run: Run, workspace: Workspace) -> None:
    kept = make_image(workspace, Wanted(state="stored"))
    dropped = make_image(workspace, Wanted(at=MORNING + timedelta(minutes=1), state="dropped"))
    assert ids(run("images", "list", "--json").json) == [kept]
    assert ids(run("images", "list", "--json", "--state", "dropped").json) == [dropped]


def test_list_of_an_unknown_camera_is_one_line(run: Run, workspace: Workspace) -> None:
    ran = run("images", "list", "--camera", "nobody")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == "traboule: no camera 'nobody'; see: traboule cameras list\n"


def test_list_of_a_camera_without_images_is_empty(run: Run, workspace: Workspace) -> None:
    make_camera(workspace, "pont")
    assert run("images", "list", "--camera", "pont", "--json").json == []


def test_list_knows_no_faces_before_detection(run: Run, workspace: Workspace) -> None:
    make_image(workspace, Wanted(state="stored"))
    (listed,) = run("images", "list", "--json").json
    assert (listed["faces"], listed["vehicles"]) == (None, None)
    assert run("images", "list").out.splitlines()[1].split()[-3:] == ["–", "–", "–"]


@pytest.mark.parametrize(
    "option",
    [
        ("--since", "yesterday"),
        ("--until", "2026-13-01"),
        ("--limit", "0"),
        ("--limit", "many"),
        ("--state", "lost"),
        ("--nonsense",),
    ],
)
def test_list_refuses_wrong_options(
    run: Run, workspace: Workspace, option: tuple[str, ...]
) -> None:
    ran = run("images", "list", *option)
    assert (ran.status, ran.out) == (2, "")
    assert option[0] in ran.err


def test_show_gives_the_whole_provenance(run: Run, workspace: Workspace) -> None:
    image = make_image(workspace, Wanted(labels={"face": 1, "car": 2}))
    shown = run("images", "show", image, "--json").json
    assert shown["object"] == keys.stored_image(image)
    assert (shown["faces"], shown["vehicles"]) == (1, 2)
    assert list(shown["labels"].items()) == [("car", 2), ("face", 1)]
    assert Path(shown["path"]).is_file()
    assert [found["label"] for found in shown["detections"]] == ["face", "car", "car"]
    assert shown["models"][0]["name"] == "yolox-nano"
    provenance = shown["provenance"]
    assert provenance["licence"] == "Licence Ouverte 2.0"
    assert provenance["captured_at"] == "2026-11-21T09:16:40Z"
    assert provenance["thumbnail"] == {"width": 8, "height": 6}
    assert len(provenance["sha256_received"]) == 64


def test_show_draws_it_for_people(run: Run, workspace: Workspace) -> None:
    image = make_image(workspace, Wanted(labels={"face": 1}))
    shown = run("images", "show", image).out
    assert shown.startswith(image)
    for text in ("Métropole de Lyon", "detections: 1", "face  0.90  0, 20, 40, 60", "Apache-2.0"):
        assert text in shown


@pytest.mark.parametrize(
    ("state", "bucket"), [("stored", "raw/frames"), ("dropped", "raw/dropped")]
)
def test_show_tells_of_an_image_not_detected(
    run: Run, workspace: Workspace, state: str, bucket: str
) -> None:
    image = make_image(workspace, Wanted(state=state, reason="alike"))
    shown = run("images", "show", image, "--json").json
    assert shown["state"] == state
    assert shown["object"].startswith(bucket)
    assert (shown["path"], shown["faces"], shown["vehicles"]) == (None, None, None)
    assert shown["provenance"]["reason"] == "alike"


@pytest.mark.parametrize("command", ["show", "open", "delete"])
@pytest.mark.parametrize("image", [UNKNOWN, "../../etc/passwd", ""])
def test_an_unknown_image_is_one_line(
    run: Run, workspace: Workspace, command: str, image: str
) -> None:
    ran = run("images", command, image)
    assert ran.status == 1
    assert ran.err == f"traboule: no image {image!r}; see: traboule images list\n"


def test_show_of_damaged_detections_is_one_line(run: Run, workspace: Workspace) -> None:
    image = make_image(workspace, Wanted())
    assert workspace.data is not None
    (workspace.data / "store" / keys.detections(image)).write_text("{}")
    ran = run("images", "show", image)
    assert (ran.status, ran.err.count("\n")) == (1, 1)
    assert "Detections is not valid" in ran.err


def test_open_prints_where_the_anonymised_image_is(run: Run, workspace: Workspace) -> None:
    image = make_image(workspace, Wanted())
    path = Path(run("images", "open", "--print-path", image).out.strip())
    assert path.read_bytes() == workspace.store.get(keys.stored_image(image)).data


def test_open_starts_the_viewer(
    run: Run, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image(workspace, Wanted())
    opened: list[str] = []

    def launch(path: str) -> int:
        opened.append(path)
        return 0

    monkeypatch.setattr(typer, "launch", launch)
    assert run("images", "open", image).status == 0
    assert [Path(path).name for path in opened] == [f"{image}.jpg"]


def test_open_says_where_it_is_without_a_viewer(
    run: Run, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image(workspace, Wanted())
    monkeypatch.setattr(typer, "launch", lambda path: 1)
    ran = run("images", "open", image)
    assert ran.status == 1
    assert f"{image}.jpg" in ran.err


@pytest.mark.parametrize("state", ["stored", "dropped"])
def test_open_never_opens_raw_pixels(run: Run, workspace: Workspace, state: str) -> None:
    image = make_image(workspace, Wanted(state=state))
    ran = run("images", "open", "--print-path", image)
    assert (ran.status, ran.out) == (1, "")
    assert "not detected yet" in ran.err


@pytest.mark.parametrize("state", ["detected", "stored", "dropped"])
def test_delete_leaves_a_tombstone_alone(run: Run, workspace: Workspace, state: str) -> None:
    image = make_image(workspace, Wanted(state=state))
    ran = run("images", "delete", image, "--yes", "--reason", "asked by letter")
    assert ran.status == 0
    assert f"erased {image}" in ran.out
    assert [entry.key for entry in workspace.store.list("")] == [keys.tombstone(image)]
    assert workspace.catalog.images.get(image) is None
    assert "asked by letter" in run("images", "show", image).err


def test_delete_removes_the_copies_it_knows_of(run: Run, workspace: Workspace) -> None:
    image, other = make_image(workspace, Wanted()), make_image(workspace, Wanted(camera="pont"))
    data = workspace.data
    assert data is not None
    (data / SHEET_NAME).write_text(f"a sheet with {other} alone")
    (data / CATALOG_BEFORE).write_text("an old catalog")
    ran = run("images", "delete", image, "--yes")
    assert "removed" in ran.out
    assert (data / SHEET_NAME).exists()
    assert not (data / CATALOG_BEFORE).exists()
    run("images", "delete", other, "--yes")
    assert not (data / SHEET_NAME).exists()


def test_delete_asks_first(run: Run, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    image = make_image(workspace, Wanted())
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    ran = run("images", "delete", image)
    assert ran.status == 1
    assert "--yes" in ran.err
    assert workspace.store.exists(keys.stored_image(image))


def test_delete_asks_for_an_image_without_a_row(
    run: Run, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image(workspace, Wanted(state="stored"))
    workspace.catalog.images.remove(image)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    ran = run("images", "delete", image)
    assert ran.status == 1
    assert f"Erase {image} for good?" in ran.err
    assert ran.err.endswith("nothing was done\n")
    assert workspace.store.exists(keys.frame(image))
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert run("images", "delete", image).status == 0
    assert [entry.key for entry in workspace.store.list("")] == [keys.tombstone(image)]


@pytest.mark.parametrize("image", ["quai-saone-20000101T000000Z-00000000", "../etc/passwd"])
def test_delete_asks_nothing_of_what_is_not_there(
    run: Run, workspace: Workspace, image: str
) -> None:
    ran = run("images", "delete", image)
    assert ran.status == 1
    assert "for good?" not in ran.err
    assert "no image" in ran.err


def test_open_writes_the_anonymised_image_where_it_is_told(
    run: Run, workspace: Workspace, tmp_path: Path
) -> None:
    image = make_image(workspace, Wanted())
    run("images", "open", image, "--output", str(tmp_path / "one.jpg"))
    stored = workspace.store.get(keys.stored_image(image)).data
    assert (tmp_path / "one.jpg").read_bytes() == stored


def test_delete_goes_to_maintenance_where_it_is_elsewhere(
    run_composed: Run, stages: Stages, workspace: Workspace
) -> None:
    image = make_image(workspace, Wanted())
    stages.asleep = True
    assert "maintenance is to erase" in run_composed("images", "delete", image, "--yes").err
    stages.asleep = False
    ran = run_composed("images", "delete", image, "--yes", "--reason", "by letter")
    assert ran.status == 0
    assert ran.out.endswith(f"erased {image}\n")
    assert stages.sent[1:] == [DeleteImage(image=image, reason="by letter")]
    assert "docker compose run --rm cli images list" in run_composed("images", "open", "x").err

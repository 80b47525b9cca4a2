from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, update
from structlog.testing import capture_logs

from pipeline import keys
from pipeline.annotations import AnnotationStatus
from pipeline.cadence import utc_now
from pipeline.catalog.labeling.tasks import Considered, TaskState
from pipeline.catalog.tables import LabelingProjectRow, LabelingTaskRow
from pipeline.messages import PushImages
from pipeline.records import Tombstone
from pipeline.storage import put_json
from services.labeling.settings import ImageAccess
from services.labeling.studio.failures import StudioRefused
from services.labeling.studio.protocol import NewStudioTask
from tests.factories import MORNING, Wanted, make_camera, make_image
from tests.fake_studio import FakeStudio
from tests.labels import Said, make_annotation, store_annotation
from tests.labels import box as drawn_box
from tests.round_trip import TOKEN, box
from tests.unit.traboule.conftest import Run, Stages
from traboule.commands import label_sets
from traboule.labels.projects import address_of
from traboule.workspace import Workspace


@pytest.fixture(autouse=True)
def _without_logs() -> Iterator[None]:
    """As in a process of its own."""
    with capture_logs():
        yield


@pytest.fixture
def images(workspace: Workspace) -> list[str]:
    make_camera(workspace)
    times = (MORNING + timedelta(seconds=n) for n in range(3))
    return [make_image(workspace, Wanted(at=at, labels={"car": 1})) for at in times]


def test_connect_tells_where_and_what_next(
    run: Run, workspace: Workspace, studio: FakeStudio, token_file: Path
) -> None:
    ran = run("labels", "connect", studio.url, "--token-file", str(token_file))
    assert (ran.status, ran.err) == (0, "")
    assert "as ann@example.com" in ran.out
    assert f"{studio.url}/projects/1" in ran.out
    assert "next: traboule labels push" in ran.out
    assert TOKEN not in ran.out
    token_file.chmod(0o644)
    assert "chmod 600" in run("labels", "connect").out


def test_disconnect_keeps_what_was_labelled(run: Run, workspace: Workspace, connected: str) -> None:
    assert run("labels", "disconnect").status == 0
    ran = run("labels", "disconnect")
    assert (ran.status, ran.err) == (1, "traboule: no Label Studio is connected\n")
    assert address_of(connected) in run("labels", "status").out


def test_status_of_a_label_studio_that_was_never_reached_and_is_disconnected(
    run: Run, workspace: Workspace, connected: str
) -> None:
    workspace.catalog.labeling_projects.failed("http://127.0.0.1:8080#", "it does not answer")
    with workspace.catalog.engine.begin() as connection:
        connection.execute(
            delete(LabelingProjectRow).where(LabelingProjectRow.project == connected)
        )
    assert "it fails now: it does not answer" in run("labels", "status").out
    run("labels", "disconnect")
    ran = run("labels", "status")
    assert (ran.status, ran.err.count("\n")) == (1, 1)
    assert "no Label Studio is connected" in ran.err
    assert run("status").status == 0


@pytest.mark.parametrize("command", ["push", "pull", "status"])
def test_what_needs_a_label_studio_says_how_to_connect_one(
    run: Run, workspace: Workspace, command: str
) -> None:
    ran = run("labels", command)
    assert (ran.status, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert "traboule labels connect" in ran.err


def test_push_sends_what_is_asked_for_and_nothing_twice(
    run: Run, images: list[str], studio: FakeStudio, connected: str
) -> None:
    assert run("labels", "push", "--limit", "1", "--json").json == {
        "sent": 1,
        "already_there": 0,
        "waiting": 0,
        "failed": {},
    }
    assert sent(studio) == images[2:]
    assert run("labels", "push", images[0], images[0]).out.startswith("1 sent, 0 were sent")
    assert run("labels", "push").out.startswith("1 sent, 2 were sent")
    assert run("labels", "push", "--all").out.startswith("0 sent, 3 were sent")
    assert sent(studio) == images


def test_push_without_options_keeps_to_the_policy(
    run: Run, images: list[str], studio: FakeStudio, connected: str
) -> None:
    run("labels", "connect", "--policy", "nth", "--every", "3")
    assert run("labels", "push").out.startswith("1 sent")
    assert run("labels", "push", "--all").out.startswith("2 sent, 1 were sent")


def test_push_tells_what_failed_and_why(
    run: Run, workspace: Workspace, images: list[str], connected: str
) -> None:
    [key] = [one.key for one in workspace.store.list("images/") if images[1] in one.key]
    workspace.store.delete(key)
    ran = run("labels", "push", "--all")
    assert ran.status == 1
    assert ran.out.splitlines() == [
        "2 sent, 0 were sent before",
        "1 failed: it is gone from the store",
    ]


def test_push_sends_what_failed_once_more(
    run: Run, images: list[str], studio: FakeStudio, connected: str
) -> None:
    def refuse(*_: object) -> None:
        raise StudioRefused("too large", 413)

    assert "no such images" in run("labels", "push", "--failed").err
    with pytest.MonkeyPatch.context() as refusing:
        refusing.setattr(studio, "import_tasks", refuse)
        ran = run("labels", "push", "--limit", "2")
        assert ran.status == 1
        assert "when that goes: traboule labels push --failed" in ran.out
    assert run("labels", "push", images[1], "--failed").out.startswith("1 sent")
    assert run("labels", "push", "--failed").out.startswith("1 sent, 0 were sent")
    assert sent(studio) == images[1:]
    assert "failed" not in run("labels", "status").out


def test_push_leaves_to_others_what_they_are_sending(
    run: Run, workspace: Workspace, images: list[str], connected: str
) -> None:
    run("labels", "connect", "--images", ImageAccess.UPLOAD.value)
    assert run("labels", "push", "--limit", "1").out.startswith("1 sent")
    row = workspace.catalog.labeling.get(connected, images[2])
    assert row is not None and row.copy_address == ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nonsense",), "no image 'nonsense'"),
        (("--camera", "nobody"), "no camera 'nobody'"),
        (("nonsense", "--all"), "name images, or say which they are: not both"),
        (("--failed", "--limit", "2"), "--failed is of all that failed: it goes without --limit"),
    ],
)
def test_push_refuses_what_it_cannot_find(
    run: Run, workspace: Workspace, connected: str, words: tuple[str, ...], told: str
) -> None:
    ran = run("labels", "push", *words)
    assert (ran.status, ran.err.count("\n")) == (1, 1)
    assert told in ran.err


def test_push_of_an_image_that_was_not_detected_says_so(
    run: Run, workspace: Workspace, connected: str
) -> None:
    image = make_image(workspace, Wanted(state="stored"))
    assert "it is stored, not detected" in run("labels", "push", image).err


def test_label_studio_that_is_down_is_one_line_and_nothing_is_lost(
    run: Run, images: list[str], studio: FakeStudio, connected: str
) -> None:
    studio.down = True
    for command in ("push", "pull"):
        ran = run("labels", command)
        assert (ran.status, ran.err.count("\n")) == (1, 1)
        assert "does not answer" in ran.err
    assert "it fails now" in run("labels", "status").out
    assert "Label Studio fails" in run("status").out
    studio.down = False
    assert run("labels", "push").out.startswith("3 sent")
    assert "it fails now" not in run("labels", "status").out


def test_pull_and_status_tell_what_people_said(
    run: Run, images: list[str], studio: FakeStudio, connected: str
) -> None:
    run("labels", "push", "--all")
    first, second, third = studio.tasks
    studio.annotate(first, [box()])
    studio.annotate(first, [box("bus", 60)], created_username=" other@example.com, 2")
    studio.annotate(second, [])
    studio.annotate(third, [], was_cancelled=True)
    assert run("labels", "pull").out == "received 4 annotations\n"
    assert run("labels", "pull").out == "received 0 annotations\n"
    state = run("labels", "status", "--json").json
    assert state["project"] == connected
    assert state["tasks"] == {"sent": 3}
    assert state["annotations"] == {"labelled": 2, "negative": 1, "skipped": 1}
    assert state["labelled_images"] == 2
    assert state["agreement"] == {
        "images": 1,
        "disagreeing": 1,
        "score": 0,
        "classes": {"bus": 0, "car": 0},
    }
    told = run("labels", "status").out
    assert "images        3 sent" in told
    assert "they disagree on 1" in told
    assert "labeling: 3 sent; annotations: 2 labelled, 1 negative, 1 skipped" in run("status").out


def test_status_says_that_images_wait_for_their_cameras_quota(
    run: Run, images: list[str], studio: FakeStudio, connected: str
) -> None:
    run("labels", "connect", "--per-day", "1")
    assert run("labels", "push").out.startswith("1 sent")
    state = run("labels", "status", "--json").json
    assert (state["tasks"], state["held_back"]) == ({"sent": 1, "waiting": 2}, 2)
    told = run("labels", "status").out
    assert "  2 wait since 1 of a camera and day are sent" in told
    assert "traboule labels push --camera ID" in told
    run("labels", "connect", "--per-day", "9")
    assert "wait since" not in run("labels", "status").out


def test_status_counts_apart_what_no_set_can_be_made_of(
    run: Run, images: list[str], studio: FakeStudio, connected: str
) -> None:
    run("labels", "push", "--all")
    known, unknown, empty = studio.tasks
    studio.annotate(known, [box()])
    studio.annotate(unknown, [box("ufo")])
    studio.annotate(empty, [])
    run("labels", "pull")
    state = run("labels", "status", "--json").json
    assert (state["labelled_images"], state["unusable_images"]) == (2, 1)
    assert "1 more with nothing usable" in run("labels", "status").out


def test_push_goes_to_labeling_where_it_is_elsewhere(
    run_composed: Run, workspace: Workspace, images: list[str], connected: str, stages: Stages
) -> None:
    ran = run_composed("labels", "push", "--limit", "2")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.endswith("0 sent, 0 were sent before\n2 wait to be sent\n")
    assert stages.sent == [PushImages(images=(images[2], images[1]))]
    assert "by itself" in run_composed("labels", "push").err
    assert "by itself" in run_composed("labels", "pull").err
    assert "LABELING_URL" in run_composed("labels", "connect", "http://127.0.0.1").err
    assert address_of(connected) in run_composed("labels", "status").out


def test_push_tells_in_a_container_what_can_be_done_there(
    run_composed: Run, workspace: Workspace, images: list[str], connected: str, stages: Stages
) -> None:
    labeling = workspace.catalog.labeling
    labeling.consider(connected, Considered(images[0], "quai", keys.day_of(images[0])), MORNING)
    reason = "it was refused; try again: traboule labels push --failed"
    failed = {"state": TaskState.FAILED.value, "reason": reason}
    soon = utc_now() + timedelta(hours=1)
    with workspace.catalog.engine.begin() as connection:
        connection.execute(update(LabelingTaskRow).values(failed | {"updated_at": soon}))
    stages.asleep = True
    ran = run_composed("labels", "push", images[0])
    assert "try again: docker compose run --rm cli labels push --failed" in ran.out


def test_pull_says_what_it_passed_over_and_why(
    run: Run, workspace: Workspace, images: list[str], studio: FakeStudio, connected: str
) -> None:
    run("labels", "push", "--all")
    erased, _, _ = studio.tasks
    [project] = studio.projects
    strange = [NewStudioTask({"image": "a"})] * 2
    for task in (erased, *studio.import_tasks(project, strange)):
        studio.annotate(task, [box()])
    image = str(studio.tasks[erased].data["image_id"])
    gone = Tombstone(id=image, source="quai", sha256_received="00", erased_at=MORNING)
    put_json(workspace.store, keys.tombstone(image), gone.model_dump_json())
    assert run("labels", "pull").out.splitlines()[:3] == [
        "received 0 annotations",
        "passed over 1 labeling task of erased images",
        "passed over 2 labeling tasks not of our images",
    ]


def test_pull_takes_a_mass_of_deletions_where_they_are_accepted(
    run: Run, workspace: Workspace, images: list[str], studio: FakeStudio, connected: str
) -> None:
    times = (MORNING + timedelta(minutes=n) for n in range(1, 9))
    images += [make_image(workspace, Wanted(at=at)) for at in times]
    run("labels", "push", "--all")
    [project] = studio.projects
    studio.act(project, "delete_tasks", list(studio.tasks))
    workspace.catalog.labeling_projects.compared(connected, MORNING)
    told = run("labels", "pull").out
    assert "note: 11 of 11 labeling tasks are missing" in told
    assert "traboule labels pull --accept-deletions" in told
    assert run("labels", "status", "--json").json["tasks"] == {"sent": 11}
    assert run("labels", "pull", "--accept-deletions").out == "received 0 annotations\n"
    assert run("labels", "status", "--json").json["tasks"] == {"gone": 11}


def test_deletions_are_accepted_where_labelings_rights_are(
    run_composed: Run, studio: FakeStudio, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABELING_URL", studio.url)
    monkeypatch.setenv("LABELING_TOKEN_FILE", str(token_file))
    run_composed("labels", "connect")
    assert "by itself" in run_composed("labels", "pull").err
    assert run_composed("labels", "pull", "--accept-deletions").out == "received 0 annotations\n"


def test_push_before_labeling_reached_a_label_studio_says_so(
    run_composed: Run, images: list[str], stages: Stages
) -> None:
    ran = run_composed("labels", "push", "--all")
    assert (ran.status, stages.sent) == (1, [])
    assert "has not reached a Label Studio yet" in ran.err


def test_export_of_nothing_is_one_line(run: Run, images: list[str], tmp_path: Path) -> None:
    ran = run("labels", "export", str(tmp_path / "set"))
    assert (ran.status, ran.err.count("\n")) == (1, 1)
    assert "nothing was labelled there yet" in ran.err


def test_export_takes_the_camera_and_time_asked_for(
    run: Run, workspace: Workspace, images: list[str], tmp_path: Path
) -> None:
    for number, image in enumerate(images):
        said = Said([drawn_box("car", 10, 10, 60, 60)], number=number)
        label(workspace, image, said)
    negative = Said(status=AnnotationStatus.NEGATIVE, number=9)
    label(workspace, make_image(workspace, Wanted("pont")), negative)
    for words, count in (
        (("--camera", "quai-saone"), 3),
        (("--camera", "pont"), 1),
        (("--since", "2026-11-21T09:16:41Z", "--camera", "quai-saone"), 2),
        (("--until", "2026-11-21T09:16:41Z"), 2),
    ):
        out = tmp_path / f"{'-'.join(words)}.zip".replace(":", "")
        ran = run("labels", "export", str(out), "--json", *words)
        assert (ran.status, ran.json["images"]) == (0, count)
        assert out.exists()
    assert "exists already" in run("labels", "export", str(out)).err


def test_export_in_which_nothing_is_left_fails_with_its_reasons(
    run: Run, workspace: Workspace, images: list[str], tmp_path: Path
) -> None:
    label(workspace, images[0], Said(status=AnnotationStatus.SKIPPED))
    ran = run("labels", "export", str(tmp_path / "set"))
    assert ran.status == 1
    assert "not in the set: 1, it was skipped" in ran.out
    assert not (tmp_path / "set").exists()


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    """Standard output, in bytes."""
    taken = io.BytesIO()
    monkeypatch.setattr(label_sets, "open_target", lambda out: taken)
    return taken


def test_export_to_standard_output_is_a_zip_and_nothing_else(
    run: Run, workspace: Workspace, images: list[str], output: io.BytesIO
) -> None:
    label(workspace, images[0], Said([drawn_box("car", 10, 10, 60, 60)]))
    ran = run("labels", "export", "-")
    with zipfile.ZipFile(io.BytesIO(output.getvalue())) as zipped:
        assert zipped.testzip() is None
        assert f"images/{images[0]}.jpg" in zipped.namelist()
    assert (ran.status, ran.out) == (0, "")
    assert "1 image" in ran.err


def test_export_of_nothing_writes_nothing_to_standard_output(
    run: Run, workspace: Workspace, images: list[str], output: io.BytesIO
) -> None:
    label(workspace, images[0], Said(status=AnnotationStatus.SKIPPED))
    ran = run("labels", "export", "-")
    assert (ran.status, output.getvalue()) == (1, b"")
    assert "there is not one image" in ran.err


def test_set_that_was_exported_can_be_imported(
    run: Run, workspace: Workspace, images: list[str], tmp_path: Path
) -> None:
    label(workspace, images[0], Said([drawn_box("car", 10, 10, 60, 60)]))
    label(workspace, images[1], Said(status=AnnotationStatus.NEGATIVE, number=2))
    out = str(tmp_path / "set")
    run("labels", "export", out)
    words = ("labels", "import", out, "--author", "eve@example.com")
    assert run(*words, "--dry-run").out.startswith("1 annotations would be taken")
    ran = run(*words, "--strict")
    assert (ran.status, ran.out.splitlines()[0][:27]) == (1, "1 annotations would be take")
    assert "--negatives" in run(*words).err
    assert run(*words, "--negatives").out.startswith("1 annotations taken, 1 of them")
    authors = [row.author for row in workspace.catalog.annotations.of_image(images[0])]
    assert sorted(authors) == ["ann@example.com", "eve@example.com"]
    ran = run(*words)
    assert (ran.status, ran.out.splitlines()[0][:19]) == (0, "0 annotations taken")


def test_import_of_what_is_no_set_is_told(run: Run, images: list[str], tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("0 0.5 0.5\n")
    ran = run("labels", "import", str(tmp_path / "bad.txt"), "--classes", "car")
    assert ran.status == 1
    assert ran.err == "traboule: there was nothing that could be taken\n"


def test_what_needs_labelings_rights_says_where_they_are(
    run_composed: Run, workspace: Workspace, tmp_path: Path
) -> None:
    """In the container of another service."""
    asked = "docker compose run --rm labels labels"
    words = ("labels", "import", str(tmp_path))
    assert f"{asked} import" in run_composed(*words).err
    assert asked in run_composed(*words, "--as", "predictions").err
    assert f"{asked} connect" in run_composed("labels", "connect").err


def test_import_is_taken_where_labelings_rights_are(
    run_composed: Run,
    workspace: Workspace,
    images: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LABELING_URL", "http://label-studio:8080")
    label(workspace, images[0], Said([drawn_box("car", 10, 10, 60, 60)]))
    out = str(tmp_path / "set")
    assert run_composed("labels", "export", out).status == 0
    ran = run_composed("labels", "import", out, "--author", "eve@example.com")
    assert ran.out.startswith("1 annotations taken")


def test_deleted_project_is_made_anew_where_labelings_rights_are(
    run_composed: Run,
    workspace: Workspace,
    studio: FakeStudio,
    token_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LABELING_URL", studio.url)
    monkeypatch.setenv("LABELING_TOKEN_FILE", str(token_file))
    run_composed("labels", "connect")
    [old] = studio.projects.values()
    studio.delete_project(old.id)
    reason = "project 1 was deleted there; a new one is made by: traboule labels connect"
    workspace.catalog.labeling_projects.failed(old.key, reason)
    told = run_composed("labels", "status").out
    assert "docker compose run --rm labels labels connect" in told
    ran = run_composed("labels", "connect")
    assert (ran.status, ran.err) == (0, "")
    assert "next: labeling goes on with it within a minute" in ran.out
    [new] = studio.projects.values()
    assert address_of(new.key) in run_composed("labels", "status").out
    assert "takes nothing more" in run_composed("labels", "connect", "--policy", "nth").err


@pytest.mark.parametrize(
    "words",
    [
        ("connect", "http://127.0.0.1", "--images", "odd"),
        ("connect", "http://127.0.0.1", "--policy", "odd"),
        ("export", "set", "--format", "odd"),
        ("export", "set", "--choose", "odd"),
        ("import", ".", "--as", "odd"),
        ("import", ".", "--format", "odd"),
    ],
)
def test_a_wrong_choice_is_status_2(run: Run, workspace: Workspace, words: tuple[str, ...]) -> None:
    ran = run("labels", *words)
    assert ran.status == 2
    assert "'odd' is none of" in ran.err


def test_fetch_images_asks_for_a_server_and_sends_the_token_to_no_other(
    run: Run, workspace: Workspace, connected: str, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("")
    labels = str(tmp_path)
    ran = run("labels", "fetch-images", labels, "--url", "http://127.0.0.1:9")
    assert (ran.status, "--token-file" in ran.err) == (1, True)
    run("labels", "disconnect")
    assert "which Label Studio" in run("labels", "fetch-images", labels).err


def label(workspace: Workspace, image: str, said: Said) -> None:
    annotation = make_annotation(image, said)
    store_annotation(workspace.store, annotation)
    assert workspace.catalog.annotations.record(annotation)


def sent(studio: FakeStudio) -> list[str]:
    return sorted(str(task.data["image_id"]) for task in studio.tasks.values())

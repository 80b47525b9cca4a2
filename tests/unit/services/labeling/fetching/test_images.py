from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from pipeline.errors import UserError
from pipeline.fetch import FetchLimits
from services.labeling.fetching.files import StudioFiles
from services.labeling.fetching.folder import FetchRefused
from services.labeling.fetching.images import fetch_export, fetch_images
from services.labeling.fetching.report import FetchOptions, FetchReport
from services.labeling.fetching.session import Patience, PatientSession
from services.labeling.studio.failures import ProjectMissing, StudioError, StudioUnavailable
from tests.studio_stand_in import LEGACY_TOKEN, PERSONAL_TOKEN, StandIn, draw, stand_in_studio
from tests.unit.services.labeling.fetching.test_label_files import make_folder, make_zip

BOX = b"0 0.5 0.5 0.25 0.25\n"
NOTES = json.dumps({"categories": [{"id": 0, "name": "car"}, {"id": 1, "name": "bus"}]}).encode()
UPLOAD, RESOLVED = "/data/upload/2/c8bee958-a.jpg", "/tasks/36/resolve/"
CLOUD = "/tasks/36/resolve/?fileuri=czM6Ly92ZWgvcmF3L2NhbTEvZnJhbWVfMDAwMS5qcGc="
OPTIONS = FetchOptions(images_per_s=1000, sleep=lambda wait_s: None)


@pytest.fixture
def studio() -> Iterator[StandIn]:
    """An upload, an S3 image behind a presigned redirect, and one by an encoded name."""
    with stand_in_studio() as made:
        made.add_task(3, UPLOAD)
        made.add_task(36, CLOUD)
        made.add_task(6, "/data/upload/2/2409d490-stra%C3%9Fe_%C3%BC.jpg")
        made.private[UPLOAD] = draw("red")
        made.private["/data/upload/2/2409d490-straße_ü.jpg"] = draw("blue", format="PNG")
        made.redirects[RESOLVED] = "/bucket/frame.jpg?X-Amz-Signature=sesame"
        made.public["/bucket/frame.jpg"] = draw("green")
        yield made


@pytest.fixture
def session() -> Iterator[PatientSession]:
    limits = FetchLimits(deadline_s=60, max_bytes=2_000_000)
    made = PatientSession(limits, Patience(sleep=lambda wait_s: None))
    yield made
    made.close()


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    return make_zip(
        tmp_path / "export.zip",
        {
            "notes.json": NOTES,
            "labels/c8bee958-a.txt": BOX,
            "labels/a471f274__frame_0001.txt": b"1 1.0 0.5 0.5 0.25\n",
            "labels/2409d490-straße_ü.txt": b"",
        },
    )


def add_labels(labels: Path, entries: dict[str, bytes]) -> Path:
    """The same in a folder, with more."""
    folder = labels.with_suffix("")
    with zipfile.ZipFile(labels) as archive:
        archive.extractall(folder)
    return make_folder(folder, entries)


def files_of(studio: StandIn, session: PatientSession, token: str = LEGACY_TOKEN) -> StudioFiles:
    return StudioFiles(studio.url, lambda: token, session)


def images_in(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "images").iterdir())


def labels_in(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "labels").iterdir())


@pytest.mark.parametrize("token", [LEGACY_TOKEN, PERSONAL_TOKEN])
@pytest.mark.parametrize("project", [2, None])
def test_every_image_is_fetched_beside_its_labels(
    studio: StandIn,
    session: PatientSession,
    labels: Path,
    token: str,
    project: int | None,
) -> None:
    out = labels.parent / "out"
    seen: list[tuple[int, int]] = []
    options = replace(
        OPTIONS, project=project, progress=lambda done, total: seen.append((done, total))
    )
    report = fetch_images(labels, files_of(studio, session, token), out, options)
    assert report.is_complete and len(report.fetched) == 3
    assert images_in(out) == ["2409d490-straße_ü.png", "a471f274__frame_0001.jpg", "c8bee958-a.jpg"]
    assert (out / "images/c8bee958-a.jpg").read_bytes() == draw("red")
    assert (out / "images/a471f274__frame_0001.jpg").read_bytes() == draw("green")
    assert labels_in(out) == ["2409d490-straße_ü.txt", "a471f274__frame_0001.txt", "c8bee958-a.txt"]
    assert (out / "labels/a471f274__frame_0001.txt").read_text() == "1 0.875 0.5 0.25 0.25\n"
    assert yaml.safe_load((out / "data.yaml").read_text())["names"] == {0: "car", 1: "bus"}
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert report.lines == {"labels/a471f274__frame_0001.txt": ("line 1: clipped to the image",)}
    assert report.empty == 1 and "no true negatives" in report.notes[-1]


def test_no_token_and_no_signature_is_written_anywhere(
    studio: StandIn,
    session: PatientSession,
    labels: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    report = fetch_images(
        labels, files_of(studio, session, PERSONAL_TOKEN), tmp_path / "out", OPTIONS
    )
    written = [path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    told = [*written, repr(report).encode(), *(text.encode() for text in capfd.readouterr())]
    secrets = [PERSONAL_TOKEN, "sesame", "Bearer", *studio.access]
    assert studio.access and len(written) == 9
    assert [secret for secret in secrets for text in told if secret.encode() in text] == []


def test_token_is_sent_for_files_of_the_studio_alone(
    studio: StandIn, session: PatientSession, labels: Path, tmp_path: Path
) -> None:
    fetch_images(labels, files_of(studio, session), tmp_path / "out", OPTIONS)
    bare = [one.path for one in studio.asked if one.authorization is None]
    assert bare == ["/bucket/frame.jpg?X-Amz-Signature=sesame"]


def test_second_run_fetches_nothing_again(
    studio: StandIn, session: PatientSession, labels: Path, tmp_path: Path
) -> None:
    fetch_images(labels, files_of(studio, session), tmp_path / "out", OPTIONS)
    (tmp_path / "out/images/c8bee958-a.jpg").unlink()
    studio.asked.clear()
    report = fetch_images(labels, files_of(studio, session), tmp_path / "out", OPTIONS)
    assert report.fetched == ["labels/c8bee958-a.txt"] and len(report.already_there) == 2
    assert [path for path in studio.paths() if not path.startswith("/api/")] == [UPLOAD]


def test_what_is_missing_ambiguous_or_no_image_is_reported_and_the_rest_fetched(
    studio: StandIn, session: PatientSession, labels: Path, tmp_path: Path
) -> None:
    for number, name in ((50, "gone"), (51, "page"), (52, "small")):
        studio.add_task(number, f"/data/upload/2/0000000a-{name}.jpg")
    for number in (53, 54):
        studio.add_task(number, f"{studio.url}/cam{number}/same.jpg")
    studio.add_task(55, f"{studio.url}/missing.jpg")
    studio.private["/data/upload/2/0000000a-page.jpg"] = b"<!doctype html>"
    studio.private["/data/upload/2/0000000a-small.jpg"] = draw()[:300]
    more = ("0000000a-gone", "0000000a-page", "0000000a-small", "same", "missing", "unknown")
    folder = add_labels(labels, {f"labels/{name}.txt": BOX for name in more})
    out = tmp_path / "out"
    report = fetch_images(folder, files_of(studio, session), out, OPTIONS)
    assert len(report.fetched) == 3 and not report.is_complete
    assert labels_in(out) == [path.removeprefix("labels/") for path in sorted(report.fetched)]
    assert report.ambiguous == {"labels/same.txt": "fits 2 images, of tasks 53, 54"}
    assert report.not_images["labels/0000000a-page.txt"] == "an HTML page"
    assert "labels/0000000a-small.txt" in report.not_images
    assert "where an uploaded file is gone" in report.missing["labels/0000000a-gone.txt"]
    assert "answered 404" in report.missing["labels/missing.txt"]
    assert report.missing["labels/unknown.txt"] == "no task has an image of that name"
    assert json.loads((out / "report.json").read_text()) == json.loads(json.dumps(asdict(report)))


def test_label_file_of_a_task_that_nobody_labelled_is_no_negative(
    studio: StandIn, session: PatientSession, labels: Path, tmp_path: Path
) -> None:
    studio.add_task(60, "/data/upload/2/0000000b-unseen.jpg", annotations=0)
    studio.private["/data/upload/2/0000000b-unseen.jpg"] = draw()
    folder = add_labels(labels, {"labels/0000000b-unseen.txt": b"\n"})
    report = fetch_images(folder, files_of(studio, session), tmp_path / "out", OPTIONS)
    assert report.unlabelled == ["labels/0000000b-unseen.txt"] and report.is_complete
    assert "0000000b-unseen.txt" not in labels_in(tmp_path / "out")
    assert "2409d490-straße_ü.txt" in labels_in(tmp_path / "out")  # empty, and somebody looked


def test_two_label_files_of_one_image_are_ambiguous_unless_they_say_the_same(
    studio: StandIn, session: PatientSession, labels: Path, tmp_path: Path
) -> None:
    twice = {"labels/a.txt": BOX, "labels/frame_0001.txt": b"0 0.1 0.1 0.1 0.1\n"}
    folder = add_labels(labels, twice)
    report = fetch_images(folder, files_of(studio, session), tmp_path / "out", OPTIONS)
    assert set(report.ambiguous) == {
        "labels/a471f274__frame_0001.txt",
        "labels/frame_0001.txt",
    }
    assert "labels/c8bee958-a.txt says the same as labels/a.txt" in report.notes
    assert images_in(tmp_path / "out") == ["2409d490-straße_ü.png", "a.jpg"]


def test_labels_without_notes_get_no_data_yaml_unless_classes_are_told(
    studio: StandIn, session: PatientSession, tmp_path: Path
) -> None:
    folder = make_folder(tmp_path / "labels", {"c8bee958-a.txt": BOX})
    files, out = files_of(studio, session), tmp_path / "out"
    report = fetch_images(folder, files, out, OPTIONS)
    assert not (out / "data.yaml").exists()
    assert "no data.yaml" in report.notes[0]
    fetch_images(folder, files, out, replace(OPTIONS, classes={0: "car"}))
    assert yaml.safe_load((out / "data.yaml").read_text())["names"] == {0: "car"}


@pytest.mark.parametrize("inside", ["", "out", "labels/deeper"])
def test_labels_are_never_written_over(
    studio: StandIn, session: PatientSession, labels: Path, inside: str
) -> None:
    folder = add_labels(labels, {})
    before = (folder / "labels/a471f274__frame_0001.txt").read_bytes()
    for source in (folder, folder / "labels"):
        if source.name == "labels" and inside == "out":
            continue  # beside the labels is fine
        with pytest.raises(UserError, match="written over"):
            fetch_images(source, files_of(studio, session), folder / inside, OPTIONS)
    assert (folder / "labels/a471f274__frame_0001.txt").read_bytes() == before
    assert studio.asked == []


def test_images_are_fetched_at_the_rate_asked_for(
    studio: StandIn,
    session: PatientSession,
    labels: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started_s = time.monotonic()
    slow = FetchOptions(images_per_s=10)
    fetch_images(labels, files_of(studio, session), tmp_path / "out", slow)
    assert time.monotonic() - started_s >= 0.2
    stopped = SimpleNamespace(monotonic=lambda: 100.0)
    monkeypatch.setattr("services.labeling.fetching.images.time", stopped)
    waits: list[float] = []
    slow = FetchOptions(images_per_s=0.5, sleep=waits.append)
    fetch_images(labels, files_of(studio, session), tmp_path / "other", slow)
    assert waits == [2, 4]


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_rate_that_is_none_is_refused(
    studio: StandIn, session: PatientSession, labels: Path, tmp_path: Path, rate: float
) -> None:
    with pytest.raises(UserError, match="more than 0"):
        fetch_images(
            labels, files_of(studio, session), tmp_path / "out", FetchOptions(images_per_s=rate)
        )


def test_images_already_there_cost_no_wait(
    studio: StandIn, session: PatientSession, labels: Path, tmp_path: Path
) -> None:
    fetch_images(labels, files_of(studio, session), tmp_path / "out", OPTIONS)
    waits: list[float] = []
    slow = FetchOptions(images_per_s=0.01, sleep=waits.append)
    report = fetch_images(labels, files_of(studio, session), tmp_path / "out", slow)
    assert (len(report.already_there), waits) == (3, [])


def test_run_that_fails_in_the_middle_goes_on_where_it_was(
    studio: StandIn, session: PatientSession, labels: Path, tmp_path: Path
) -> None:
    studio.script[UPLOAD] = [401, 401]
    with pytest.raises(StudioError):
        fetch_images(labels, files_of(studio, session), tmp_path / "out", OPTIONS)
    left = images_in(tmp_path / "out")
    assert 0 < len(left) < 3
    report = fetch_images(labels, files_of(studio, session), tmp_path / "out", OPTIONS)
    assert len(report.already_there) == len(left)
    assert len(images_in(tmp_path / "out")) == 3


def test_studio_that_goes_down_in_the_middle_ends_the_run(
    studio: StandIn, session: PatientSession, tmp_path: Path
) -> None:
    entries = {}
    for number in range(100, 120):
        studio.add_task(number, f"/data/upload/2/{number:08x}-x.jpg")
        studio.script[f"/data/upload/2/{number:08x}-x.jpg"] = [503] * 9
        entries[f"{number:08x}-x.txt"] = BOX
    folder = make_folder(tmp_path / "labels", entries)
    with pytest.raises(StudioUnavailable, match="run it again"):
        fetch_images(folder, files_of(studio, session), tmp_path / "out", OPTIONS)
    assert len({path for path in studio.paths() if path.startswith("/data/")}) == 5


def test_uploads_that_are_gone_do_not_look_like_a_studio_that_is_down(
    studio: StandIn, session: PatientSession, tmp_path: Path
) -> None:
    entries = {}
    for number in range(100, 110):
        studio.add_task(number, f"/data/upload/2/{number:08x}-x.jpg")
        entries[f"{number:08x}-x.txt"] = BOX
    folder = make_folder(tmp_path / "labels", entries)
    report = fetch_images(folder, files_of(studio, session), tmp_path / "out", OPTIONS)
    assert len(report.missing) == 10


def test_tasks_are_read_page_by_page(
    studio: StandIn, session: PatientSession, tmp_path: Path
) -> None:
    for number in range(1000, 1197):  # with the three, two full pages
        studio.add_task(number, f"{studio.url}/many/{number}.jpg")
    studio.public["/many/1196.jpg"] = draw()
    folder = make_folder(tmp_path / "labels", {"1196.txt": BOX})
    report = fetch_images(folder, files_of(studio, session), tmp_path / "out", OPTIONS)
    assert report.fetched == ["1196.txt"]
    assert sum(path.startswith("/api/tasks") for path in studio.paths()) == 3


@pytest.mark.parametrize("answer", [b"[]", b"null", b'{"tasks": 7}', b'{"tasks": [7]}', b"<html>"])
def test_list_of_tasks_that_is_none_is_said(
    studio: StandIn, session: PatientSession, labels: Path, tmp_path: Path, answer: bytes
) -> None:
    studio.public["/api/tasks"] = answer
    with pytest.raises(StudioUnavailable, match=r"something other than|a page that is no answer"):
        fetch_images(labels, files_of(studio, session), tmp_path / "out", OPTIONS)


def test_project_that_is_gone_is_said(
    studio: StandIn, session: PatientSession, labels: Path, tmp_path: Path
) -> None:
    with pytest.raises(ProjectMissing):
        fetch_images(
            labels, files_of(studio, session), tmp_path / "out", replace(OPTIONS, project=9)
        )


def test_export_of_a_project_is_fetched_as_it_is_now(
    studio: StandIn, session: PatientSession, labels: Path, tmp_path: Path
) -> None:
    studio.private["/api/projects/2/export"] = labels.read_bytes()
    report = fetch_export(files_of(studio, session), 2, tmp_path / "out", OPTIONS)
    assert len(report.fetched) == 3
    assert "/api/projects/2/export?exportType=YOLO" in studio.paths()
    assert not (tmp_path / "out/.export.zip").exists()


def test_export_larger_than_an_answer_may_be_is_fetched(
    studio: StandIn, session: PatientSession, labels: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(labels, "a") as archive:
        archive.writestr("images/other.jpg", bytes(3_000_000))
    studio.private["/api/projects/2/export"] = labels.read_bytes()
    report = fetch_export(files_of(studio, session), 2, tmp_path / "out", OPTIONS)
    assert len(report.fetched) == 3


def test_what_left_the_export_leaves_the_folder_with_its_image(
    studio: StandIn, session: PatientSession, labels: Path, tmp_path: Path
) -> None:
    files, out = files_of(studio, session), tmp_path / "out"
    studio.private["/api/projects/2/export"] = labels.read_bytes()
    fetch_export(files, 2, out, OPTIONS)
    fewer = {"notes.json": NOTES, "labels/c8bee958-a.txt": BOX}
    studio.private["/api/projects/2/export"] = make_zip(labels, fewer).read_bytes()
    report = fetch_export(files, 2, out, OPTIONS)
    assert report.withdrawn == ["2409d490-straße_ü", "a471f274__frame_0001"]
    assert (images_in(out), labels_in(out)) == (["c8bee958-a.jpg"], ["c8bee958-a.txt"])
    assert (images_in(out / "withdrawn"), labels_in(out / "withdrawn")) == (
        ["2409d490-straße_ü.png", "a471f274__frame_0001.jpg"],
        ["2409d490-straße_ü.txt", "a471f274__frame_0001.txt"],
    )
    assert fetch_export(files, 2, out, OPTIONS).withdrawn == []


def test_nothing_leaves_the_folder_by_a_run_that_fails_or_an_export_by_hand(
    studio: StandIn, session: PatientSession, labels: Path, tmp_path: Path
) -> None:
    files, out = files_of(studio, session), tmp_path / "out"
    studio.private["/api/projects/2/export"] = labels.read_bytes()
    fetch_export(files, 2, out, OPTIONS)
    fewer = make_zip(labels, {"notes.json": NOTES, "labels/c8bee958-a.txt": BOX})
    assert fetch_images(fewer, files, out, OPTIONS).withdrawn == []
    studio.private["/api/projects/2/export"] = fewer.read_bytes()
    (out / "images/c8bee958-a.jpg").unlink()
    studio.script[UPLOAD] = [401, 401]
    with pytest.raises(StudioError):
        fetch_export(files, 2, out, OPTIONS)
    studio.private["/api/projects/2/export"] = make_zip(labels, {"classes.txt": b""}).read_bytes()
    with pytest.raises(UserError, match="no label files"):
        fetch_export(files, 2, out, OPTIONS)
    assert len(labels_in(out)) == 3


def test_last_label_can_leave_too(
    studio: StandIn, session: PatientSession, labels: Path, tmp_path: Path
) -> None:
    files, out = files_of(studio, session), tmp_path / "out"
    studio.private["/api/projects/2/export"] = labels.read_bytes()
    fetch_export(files, 2, out, OPTIONS)
    empty = {"notes.json": NOTES, "classes.txt": b"car\nbus"}
    studio.private["/api/projects/2/export"] = make_zip(labels, empty).read_bytes()
    assert len(fetch_export(files, 2, out, OPTIONS).withdrawn) == 3
    assert (images_in(out), labels_in(out)) == ([], [])
    with pytest.raises(UserError, match="no label files"):
        fetch_images(labels, files, out, OPTIONS)


def test_project_that_took_the_others_number_changes_nothing(
    studio: StandIn, session: PatientSession, labels: Path, tmp_path: Path
) -> None:
    files, out = files_of(studio, session), tmp_path / "out"
    studio.private["/api/projects/2/export"] = labels.read_bytes()
    studio.private["/api/projects/2/"] = b'{"created_at": "2024-01-01T00:00:00.000001Z"}'
    fetch_export(files, 2, out, OPTIONS)
    studio.private["/api/projects/2/"] = b'{"created_at": "2025-01-01T00:00:00.000001Z"}'
    studio.asked.clear()
    with pytest.raises(FetchRefused, match="filled from another project"):
        fetch_export(files, 2, out, OPTIONS)
    assert len(studio.asked) == 1, "no export is made for nothing"
    assert len(labels_in(out)) == 3
    (note,) = json.loads((out / "report.json").read_text())["notes"]
    assert "move what is in it elsewhere" in note


@pytest.mark.parametrize("unlabelled", [True, False])
def test_export_without_most_of_the_labels_changes_nothing(
    studio: StandIn, session: PatientSession, tmp_path: Path, unlabelled: bool
) -> None:
    entries = {"notes.json": NOTES}
    for number in range(100, 112):
        studio.add_task(number, f"/data/upload/2/{number:08x}-x.jpg")
        studio.private[f"/data/upload/2/{number:08x}-x.jpg"] = draw()
        entries[f"labels/{number:08x}-x.txt"] = BOX
    files, out = files_of(studio, session), tmp_path / "out"
    studio.private["/api/projects/2/export"] = make_zip(tmp_path / "e", entries).read_bytes()
    fetch_export(files, 2, out, OPTIONS)
    gone = set(range(100, 111))
    if unlabelled:
        entries |= {f"labels/{number:08x}-x.txt": b"" for number in gone}
        for task in studio.tasks[2]:
            task["total_annotations"] = int(task["id"] not in gone)
    else:
        entries = {
            name: data
            for name, data in entries.items()
            if name[7:15] not in {f"{number:08x}" for number in gone}
        }
    entries |= {f"labels/{name}.txt": BOX for name in ("c8bee958-a", "a471f274__frame_0001")}
    entries["notes.json"] = b'{"categories": []}'
    studio.private["/api/projects/2/export"] = make_zip(tmp_path / "e", entries).read_bytes()
    for _ in range(2):
        with pytest.raises(FetchRefused, match="11 of 12 images would leave"):
            fetch_export(files, 2, out, OPTIONS)
    assert len(images_in(out)) == len(labels_in(out)) == 12
    assert {path.read_bytes() for path in (out / "labels").iterdir()} == {BOX}
    assert "0: car" in (out / "data.yaml").read_text()
    (note,) = json.loads((out / "report.json").read_text())["notes"]
    assert "11 of 12" in note and not (out / ".export.zip").exists()


def test_image_whose_task_was_not_listed_stays_until_it_leaves_the_export(
    studio: StandIn, session: PatientSession, labels: Path, tmp_path: Path
) -> None:
    files, out = files_of(studio, session), tmp_path / "out"
    studio.private["/api/projects/2/export"] = labels.read_bytes()
    fetch_export(files, 2, out, OPTIONS)
    del studio.tasks[2][0]
    report = fetch_export(files, 2, out, OPTIONS)
    assert (list(report.missing), report.withdrawn) == (["labels/c8bee958-a.txt"], [])
    assert len(labels_in(out)) == 3


def test_image_that_nobody_labels_any_more_is_no_image_without_objects(
    studio: StandIn, session: PatientSession, labels: Path, tmp_path: Path
) -> None:
    files, out = files_of(studio, session), tmp_path / "out"
    fetch_images(labels, files, out, OPTIONS)
    studio.tasks[2][0]["total_annotations"] = 0
    empty = make_folder(tmp_path / "labels", {"notes.json": NOTES, "labels/c8bee958-a.txt": b""})
    report = fetch_images(empty, files, out, OPTIONS)
    assert (report.unlabelled, report.withdrawn) == (["labels/c8bee958-a.txt"], ["c8bee958-a"])
    assert "c8bee958-a.jpg" not in images_in(out) and "c8bee958-a.txt" not in labels_in(out)


def test_report_starts_without_a_word() -> None:
    empty: dict[str, Any] = json.loads(FetchReport().to_json())
    assert FetchReport().is_complete and not any(empty.values())

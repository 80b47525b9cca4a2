from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from pipeline.errors import UserError
from services.labeling.fetching import label_files
from services.labeling.fetching.label_files import read_labels
from services.labeling.sets.formats import packages

NOTES = {"categories": [{"id": 1, "name": "truck"}, {"id": 0, "name": "car"}], "info": {"year": 1}}
EXPORT = {
    "classes.txt": b"truck\ncar\n",
    "notes.json": json.dumps(NOTES).encode(),
    "labels/c8bee958-a.txt": b"0 0.5 0.5 0.2 0.2\n",
    "labels/bb41b225__fr%C3%BCh.txt": b"",
    "images/c8bee958-a.jpg": b"\xff\xd8",
}


def make_zip(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def make_folder(path: Path, entries: dict[str, bytes]) -> Path:
    for name, data in entries.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def refusal(labels: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_labels(labels)
    return str(caught.value)


@pytest.mark.parametrize("prefix", ["", "project-2-at-2026-11-21/", "a/b/"])
def test_zip_and_folder_are_read_alike(tmp_path: Path, prefix: str) -> None:
    entries = {f"{prefix}{name}": data for name, data in EXPORT.items()}
    of_zip = read_labels(make_zip(tmp_path / "export.zip", entries))
    of_folder = read_labels(make_folder(tmp_path / "export", entries))
    assert of_zip == of_folder
    assert [file.stem for file in of_zip.files] == ["bb41b225__fr%C3%BCh", "c8bee958-a"]
    assert of_zip.files[1].data == b"0 0.5 0.5 0.2 0.2\n"
    assert of_zip.classes == {0: "car", 1: "truck"}


def test_labels_folder_alone_finds_the_notes_beside_it(tmp_path: Path) -> None:
    make_folder(tmp_path, EXPORT)
    assert read_labels(tmp_path / "labels").classes == {0: "car", 1: "truck"}


def test_labels_without_notes_have_no_classes(tmp_path: Path) -> None:
    labels = read_labels(make_folder(tmp_path, {"a.txt": b"", "classes.txt": b"car\n"}))
    assert labels.classes is None
    assert [file.stem for file in labels.files] == ["a"]


def test_other_texts_and_what_macos_adds_are_passed_over(tmp_path: Path) -> None:
    extra = {"README.txt": b"hello", "__MACOSX/labels/._a.txt": b"\0", "labels/.hidden.txt": b"x"}
    assert len(read_labels(make_zip(tmp_path / "x.zip", EXPORT | extra)).files) == 2


def test_links_are_not_followed(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "export", {"labels/a.txt": b""})
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "labels" / "b.txt").symlink_to(tmp_path / "secret.txt")
    found = read_labels(folder)
    assert [file.stem for file in found.files] == ["a"]
    assert found.problems == ("'labels/b.txt' is not read: a link, which is not followed",)


@pytest.mark.parametrize("name", ["../a.txt", "/etc/a.txt", "..\\a.txt", "C:\\a.txt", "\\a.txt"])
def test_name_that_leads_out_of_the_zip_is_not_read_and_named(tmp_path: Path, name: str) -> None:
    found = read_labels(make_zip(tmp_path / "x.zip", {name: b"1", "labels/b.txt": b""}))
    assert [file.path for file in found.files] == ["labels/b.txt"]
    assert found.problems == (f"{name!r} is not read: its name leads out of the zip",)


def test_zip_bomb_is_refused(tmp_path: Path) -> None:
    bomb = make_zip(tmp_path / "x.zip", {"labels/a.txt": bytes(50_000_000)})
    assert bomb.stat().st_size < 100_000
    assert "larger than 4 MiB" in refusal(bomb)


def test_many_small_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_files, "MAX_BYTES", 100_000)
    entries = {f"labels/{n}.txt": bytes(30_000) for n in range(4)}
    assert "too large together" in refusal(make_zip(tmp_path / "x.zip", entries))


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "MAX_FILES", 3)
    entries = {f"images/{n}.jpg": b"" for n in range(4)}
    assert "more than 3 files" in refusal(make_zip(tmp_path / "x.zip", entries))
    assert "more than 3 files" in refusal(make_folder(tmp_path / "folder", entries))


def test_zip_that_lies_about_a_size_is_refused(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x.zip", {"labels/a.txt": b"0 0.5 0.5 0.2 0.2\n" * 1000})
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\x01\x02") + 24  # the size, in the list of contents
    data[at : at + 4] = (10).to_bytes(4, "little")
    path.write_bytes(data)
    assert "broken in the zip" in refusal(path)


@pytest.mark.parametrize("cut", [0, 10, 200])
def test_broken_zip_is_refused(tmp_path: Path, cut: int) -> None:
    path = make_zip(tmp_path / "x.zip", EXPORT)
    path.write_bytes(path.read_bytes()[:cut])
    assert "not a zip, or broken" in refusal(path)


def test_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x.zip", {"labels/a.txt": b"0 0 0 0 0"})
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(mark) + offset] |= 1
    path.write_bytes(data)
    assert "cannot be read" in refusal(path)


@pytest.mark.parametrize("entries", [{}, {"images/a.jpg": b"x"}, {"classes.txt": b"car\n"}])
def test_export_without_labels_is_refused(tmp_path: Path, entries: dict[str, bytes]) -> None:
    assert "no label files" in refusal(make_zip(tmp_path / "x.zip", entries))


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "there is no" in refusal(tmp_path / "nowhere")


def test_name_that_no_person_could_read_is_reported(tmp_path: Path) -> None:
    entries = {"labels/a\x07.txt": b"", "labels/.txt": b"", "labels/b.txt": b""}
    labels = read_labels(make_zip(tmp_path / "x.zip", entries))
    assert [file.stem for file in labels.files] == ["b"]
    assert labels.problems == ("'labels/a\\x07.txt' is no name for a file",)


def test_exports_that_disagree_about_classes_are_refused(tmp_path: Path) -> None:
    other = json.dumps({"categories": [{"id": 0, "name": "bus"}]}).encode()
    assert "different classes" in refusal(
        make_zip(tmp_path / "x.zip", EXPORT | {"more/notes.json": other})
    )
    assert read_labels(
        make_zip(tmp_path / "y.zip", EXPORT | {"more/notes.json": EXPORT["notes.json"]})
    ).classes == {0: "car", 1: "truck"}


def test_label_data_is_not_shown(tmp_path: Path) -> None:
    buffer = io.StringIO()
    print(read_labels(make_zip(tmp_path / "x.zip", EXPORT)), file=buffer)
    assert "0.5 0.5" not in buffer.getvalue()

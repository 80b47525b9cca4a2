from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from pipeline.errors import UserError
from services.labeling.sets.formats import packages
from services.labeling.sets.formats.packages import TooLarge, open_package

LABEL = b"0 0.5 0.5 0.1 0.1\n"


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, data in files.items():
            zipped.writestr(name, data)
    return path


def make_folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


FILES = {"labels/b.txt": LABEL, "labels/a.txt": b"", "__MACOSX/x": b"", "labels/._a.txt": b""}


def test_folder_and_zip_list_the_same(tmp_path: Path) -> None:
    for source in (make_folder(tmp_path / "f", FILES), make_zip(tmp_path / "z", FILES)):
        with open_package(source) as package:
            assert package.names == ["labels/a.txt", "labels/b.txt"]
            assert package.read("labels/b.txt", 100) == LABEL
            assert package.modified_at("labels/b.txt").tzinfo is not None


def test_single_file_is_a_package_of_one(tmp_path: Path) -> None:
    make_folder(tmp_path, {"a.json": b"[]", "b.json": b"{}"})
    with open_package(tmp_path / "a.json") as package:
        assert package.names == ["a.json"]


def test_file_is_never_read_beyond_its_bound(tmp_path: Path) -> None:
    big = {"a.txt": b"0" * 1000}
    for source in (make_folder(tmp_path / "f", big), make_zip(tmp_path / "z", big)):
        with open_package(source) as package, pytest.raises(TooLarge):
            package.read("a.txt", 999)


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = make_folder(tmp_path / "outside", {"secret.txt": b"x"})
    folder = make_folder(tmp_path / "f", {"a.txt": b""})
    (folder / "b.txt").symlink_to(outside / "secret.txt")
    (folder / "c").symlink_to(outside)
    with open_package(folder) as package:
        assert package.names == ["a.txt"]
        assert [refused.file for refused in package.refused] == ["b.txt", "c"]


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")  # zipfile's, of what it writes
def test_second_file_of_one_name_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z", "w") as zipped:
        zipped.writestr("a.txt", "first")
        zipped.writestr("a.txt", "second")
    with open_package(tmp_path / "z") as package:
        assert package.read("a.txt", 100) == b"first"
        assert "same name" in package.refused[0].reason


def test_zip_that_explodes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_ZIP_ROOM_BYTES", 0)
    bomb = make_zip(tmp_path / "z", {f"{n}.txt": b"\0" * 1_000_000 for n in range(20)})
    with open_package(bomb) as package, pytest.raises(UserError, match="far more than its size"):
        for name in package.names:
            package.read(name, 2_000_000)


def test_broken_and_encrypted_files_are_errors_of_their_own(tmp_path: Path) -> None:
    source = make_zip(tmp_path / "z", {"a.txt": b"a" * 1000, "b.txt": b"b"})
    data = bytearray(source.read_bytes())
    data[40:45] = b"\xff\xff\xff\xff\xff"
    source.write_bytes(data)
    with open_package(source) as package:
        with pytest.raises(ValueError, match="broken"):
            package.read("a.txt", 2000)
        assert package.read("b.txt", 10) == b"b"
    locked = make_zip(tmp_path / "y", {"a.txt": b"a"})
    marked = bytearray(locked.read_bytes())
    marked[6] |= 1  # encrypted, in both headers
    marked[marked.index(b"PK\x01\x02") + 8] |= 1
    locked.write_bytes(marked)
    with open_package(locked) as package, pytest.raises(ValueError, match="cannot be read"):
        package.read("a.txt", 10)


def test_number_of_files_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "MAX_FILES", 2)
    three: dict[str, bytes] = dict.fromkeys(("a.txt", "b.txt", "c.txt"), b"")
    for source in (make_folder(tmp_path / "f", three), make_zip(tmp_path / "z", three)):
        with pytest.raises(UserError, match="more than 2 files"):
            open_package(source)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no"):
        open_package(tmp_path / "nothing")


def test_link_that_a_person_names_is_followed(tmp_path: Path) -> None:
    make_folder(tmp_path / "f", {"a.json": b"[]"})
    (tmp_path / "link.json").symlink_to(tmp_path / "f" / "a.json")
    with open_package(tmp_path / "link.json") as package:
        assert package.names == ["a.json"]

"""Which files of a folder are shown, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.simulation.folder import PictureFolder


def make_folder(path: Path, *names: str) -> PictureFolder:
    for name in names:
        (path / name).write_bytes(name.encode())
    return PictureFolder(path)


def test_numbers_in_names_count(tmp_path: Path) -> None:
    names = ("cam1_9.jpg", "cam1_10.jpg", "cam2_1.jpg", "cam10_0.jpg", "day.jpg", "day2.jpg")
    folder = make_folder(tmp_path, *reversed(names))
    shown = [folder.read(number)[0].decode() for number in range(len(names) + 1)]
    assert shown == [*names[:4], "day.jpg", "day2.jpg", names[0]]


def test_names_of_one_number_keep_an_order(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, "1.jpg", "01.jpg", "2024.jpg", "a.jpg")
    shown = [folder.read(number)[0].decode() for number in range(4)]
    assert shown == ["01.jpg", "1.jpg", "2024.jpg", "a.jpg"]


@pytest.mark.parametrize(
    ("name", "content_type"),
    [("a.jpg", "image/jpeg"), ("a.JPEG", "image/jpeg"), ("a.png", "image/png")],
)
def test_content_type_is_the_files_own(tmp_path: Path, name: str, content_type: str) -> None:
    assert make_folder(tmp_path, name).read(0) == (name.encode(), content_type)


@pytest.mark.parametrize(
    ("others", "told"),
    [
        ((), "2 pictures"),
        (("a.txt",), "2 pictures, 1 other file left out"),
        (("a.txt", "b.gif"), "2 pictures, 2 other files left out"),
    ],
)
def test_folder_says_what_it_leaves_out(tmp_path: Path, others: tuple[str, ...], told: str) -> None:
    (tmp_path / "older").mkdir()
    assert make_folder(tmp_path, "1.jpg", "2.png", *others).describe() == told

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from pathlib import Path

import pytest
import yaml

from pipeline.errors import UserError
from services.labeling.fetching.folder import FetchedSet, FetchRefused, name_apart
from services.labeling.fetching.label_files import LabelFile
from services.labeling.fetching.task_images import TaskImage

IMAGE = TaskImage(7, "http://cam/a.jpg?X-Amz-Signature=sesame", True)


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_image_that_was_added_is_held_by_the_next_run_too(tmp_path: Path) -> None:
    first = FetchedSet(tmp_path)
    assert not first.holds("a", IMAGE)
    first.add("a", IMAGE, b"pixels", "JPEG")
    assert first.holds("a", IMAGE) and FetchedSet(tmp_path).holds("a", IMAGE)
    assert (tmp_path / "images/a.jpg").read_bytes() == b"pixels"


def test_image_that_was_cut_changed_or_moved_is_not_held(tmp_path: Path) -> None:
    made = FetchedSet(tmp_path)
    made.add("a", IMAGE, b"pixels", "JPEG")
    assert not made.holds("a", TaskImage(7, "http://cam/b.jpg", True))
    (tmp_path / "images/a.jpg").write_bytes(b"pix")
    assert not made.holds("a", IMAGE)
    (tmp_path / "images/a.jpg").unlink()
    assert not made.holds("a", IMAGE)


def test_image_in_another_format_takes_the_place_of_the_first(tmp_path: Path) -> None:
    made = FetchedSet(tmp_path)
    made.add("a", IMAGE, b"pixels", "JPEG")
    made.add("a", IMAGE, b"more pixels", "PNG")
    assert files_below(tmp_path / "images") == ["a.png"]


@pytest.mark.parametrize(
    "torn", [b'{"name": "b", "fi', b"\xff\xfe\x00", b"[]", b"7", b'{"name": 1}', b"null\n"]
)
def test_torn_line_of_a_killed_run_costs_one_image_at_most(tmp_path: Path, torn: bytes) -> None:
    FetchedSet(tmp_path).add("a", IMAGE, b"pixels", "JPEG")
    with (tmp_path / "fetched.jsonl").open("ab") as file:
        file.write(torn)
    made = FetchedSet(tmp_path)
    made.add("c", IMAGE, b"pixels", "JPEG")
    again = FetchedSet(tmp_path)
    assert again.holds("a", IMAGE) and again.holds("c", IMAGE) and not again.holds("b", IMAGE)


def test_half_written_files_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / ".fetching-abc").write_bytes(b"half")
    FetchedSet(tmp_path)
    assert files_below(tmp_path) == []


def test_list_tells_where_an_image_is_from_without_secrets(tmp_path: Path) -> None:
    FetchedSet(tmp_path).add("a", IMAGE, b"pixels", "JPEG")
    text = (tmp_path / "fetched.jsonl").read_text()
    assert "sesame" not in text
    known = json.loads(text)
    assert (known["task"], known["bytes"], known["file"]) == (7, 6, "a.jpg")
    assert known["address"] == "http://cam/a.jpg?X-Amz-Signature=***"


def test_list_that_names_a_file_elsewhere_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/images").mkdir()
    (tmp_path / "x.jpg").write_bytes(b"pixels")
    FetchedSet(tmp_path / "out").add("a", IMAGE, b"pixels", "JPEG")
    listed = tmp_path / "out/fetched.jsonl"
    listed.write_text(listed.read_text().replace('"a.jpg"', '"../../x.jpg"'))
    assert not FetchedSet(tmp_path / "out").holds("a", IMAGE)


def test_classes_are_described_without_gaps(tmp_path: Path) -> None:
    FetchedSet(tmp_path).describe({5: "bus", 0: "грузовик", 1: "ca: r"})
    known = yaml.safe_load((tmp_path / "data.yaml").read_text())
    names = {0: "грузовик", 1: "ca: r", 2: "unused-2", 3: "unused-3", 4: "unused-4", 5: "bus"}
    assert known == {"train": "images", "val": "images", "names": names}


def test_image_leaves_the_set_with_its_labels(tmp_path: Path) -> None:
    made = FetchedSet(tmp_path)
    made.add("a", IMAGE, b"pixels", "PNG")
    made.add_labels("a", "0 0.5 0.5 0.2 0.2\n")
    assert (tmp_path / "labels/a.txt").read_text() == "0 0.5 0.5 0.2 0.2\n"
    assert [made.withdraw("a"), made.withdraw("a"), made.withdraw("b")] == [True, False, False]
    left = ["fetched.jsonl", "withdrawn/images/a.png", "withdrawn/labels/a.txt"]
    assert files_below(tmp_path) == left
    assert not made.holds("a", IMAGE) and not FetchedSet(tmp_path).holds("a", IMAGE)


def test_all_but_some_leave_the_set_and_nothing_that_was_not_fetched(tmp_path: Path) -> None:
    made = FetchedSet(tmp_path)
    for name in ("a", "b", "Früh"):
        made.add(name, IMAGE, b"pixels", "JPEG")
        made.add_labels(name, "")
    (tmp_path / "images/mine.jpg").write_bytes(b"x")
    (tmp_path / "labels/mine.txt").write_bytes(b"")
    assert FetchedSet(tmp_path).withdraw_others(["b", "fru\u0308h"]) == ["a"]
    assert files_below(tmp_path / "withdrawn") == ["images/a.jpg", "labels/a.txt"]
    assert files_below(tmp_path / "images") == ["Früh.jpg", "b.jpg", "mine.jpg"]


def test_labels_that_were_not_fetched_stay(tmp_path: Path) -> None:
    made = FetchedSet(tmp_path)
    (tmp_path / "labels/mine.txt").write_bytes(b"")
    assert not made.withdraw("mine")
    assert files_below(tmp_path) == ["labels/mine.txt"]


def test_what_a_person_puts_back_is_theirs(tmp_path: Path) -> None:
    made = FetchedSet(tmp_path)
    made.add("a", IMAGE, b"pixels", "JPEG")
    assert made.withdraw_others([]) == ["a"]
    (tmp_path / "images/a.jpg").write_bytes(b"put back")
    for opened in (made, FetchedSet(tmp_path)):
        assert opened.withdraw_others([]) == [] and not opened.withdraw("a")
    assert (tmp_path / "images/a.jpg").read_bytes() == b"put back"


def test_what_was_withdrawn_before_is_not_written_over(tmp_path: Path) -> None:
    made = FetchedSet(tmp_path)
    for text in ("first", "second", "third"):
        made.add("a", IMAGE, text.encode(), "JPEG")
        made.add_labels("a", text)
        assert made.withdraw("a")
    for name, text in (("a", "first"), ("a-2", "second"), ("a-3", "third")):
        assert (tmp_path / f"withdrawn/images/{name}.jpg").read_text() == text
        assert (tmp_path / f"withdrawn/labels/{name}.txt").read_text() == text


def fill(folder: Path, images: int) -> FetchedSet:
    made = FetchedSet(folder)
    for number in range(images):
        made.add(str(number), IMAGE, b"pixels", "JPEG")
    return made


@pytest.mark.parametrize(("kept", "refused"), [(11, False), (10, True)])
def test_more_than_half_of_many_never_leave_at_once(
    tmp_path: Path, kept: int, refused: bool
) -> None:
    made = fill(tmp_path, 22)
    with pytest.raises(FetchRefused, match="12 of 22") if refused else nullcontext():
        made.refuse_emptying([str(number) for number in range(kept)])


def test_few_may_leave_at_once_and_what_is_gone_does_not_count(tmp_path: Path) -> None:
    made = fill(tmp_path, 30)
    for number in range(10, 30):
        (tmp_path / f"images/{number}.jpg").unlink()
    made.refuse_emptying([])
    made.add("10", IMAGE, b"pixels", "JPEG")
    with pytest.raises(FetchRefused, match="11 of 11"):
        made.refuse_emptying([])


def test_folder_holds_the_images_of_one_project(tmp_path: Path) -> None:
    made = FetchedSet(tmp_path)
    made.claim("2024")
    made.claim("2025")  # it holds nothing yet
    made.add("a", IMAGE, b"pixels", "JPEG")
    for opened in (made, FetchedSet(tmp_path)):
        opened.claim("2025")
        opened.claim(None)
        with pytest.raises(FetchRefused, match="another project, made at 2025, this one at 2024"):
            opened.claim("2024")
    assert FetchedSet(tmp_path).withdraw("a")
    FetchedSet(tmp_path).claim("2024")


def test_list_that_names_a_way_out_moves_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"pixels")
    FetchedSet(tmp_path / "out").add("a", IMAGE, b"pixels", "JPEG")
    listed = tmp_path / "out/fetched.jsonl"
    listed.write_text(listed.read_text().replace('"name": "a"', '"name": "../../x"'))
    assert FetchedSet(tmp_path / "out").withdraw_others([]) == []
    assert (tmp_path / "x.jpg").exists()


def test_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        FetchedSet(tmp_path / "file")


def test_full_disk_is_said_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = FetchedSet(tmp_path)

    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(UserError, match="No space left"):
        made.add("a", IMAGE, b"pixels", "JPEG")
    assert files_below(tmp_path) == []
    assert not made.holds("a", IMAGE)


def names_of(*stems: str) -> list[str]:
    return list(name_apart([LabelFile(stem, f"{stem}.txt", b"") for stem in stems]))


def test_names_that_some_file_systems_take_for_one_are_told_apart() -> None:
    assert names_of("a", "b") == ["a", "b"]
    assert names_of("Car", "car", "CAR", "car-2") == ["Car", "car-2", "CAR-3", "car-2-2"]
    assert names_of("früh", "fru\u0308h") == ["früh", "fru\u0308h-2"]


def test_long_names_leave_room_for_their_endings() -> None:
    for stem in ("x" * 400, "ü" * 251):
        (first, second) = names_of(stem, stem)
        assert first != second
        assert max(len(f"{name}.webp".encode()) for name in (first, second)) <= 255

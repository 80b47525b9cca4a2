from __future__ import annotations

from datetime import timedelta

import pytest

from pipeline import keys
from services.labeling.sets.formats.splits import day_of, list_files, split_images
from tests.factories import MORNING


def make_ids(days: int, per_day: int = 4, source: str = "quai") -> list[str]:
    return [
        keys.image_id(source, MORNING + timedelta(days=day, seconds=n), f"{day:04d}{n:04d}")
        for day in range(days)
        for n in range(per_day)
    ]


def test_whole_days_go_to_one_side() -> None:
    images = make_ids(200)
    split = split_images(images, 0.2)
    assert not {day_of(image) for image in split.train} & {day_of(image) for image in split.val}
    assert sorted([*split.train, *split.val]) == sorted(images)
    assert 0.1 < len(split.val) / len(images) < 0.3


def test_image_stays_on_its_side_when_others_come() -> None:
    few, many = split_images(make_ids(50), 0.2), split_images(make_ids(200), 0.2)
    assert set(few.val) <= set(many.val)
    assert set(few.train) <= set(many.train)


@pytest.mark.parametrize(("days", "per_day"), [(1, 2), (1, 3), (1, 40), (2, 1), (3, 2)])
@pytest.mark.parametrize("val", [0.001, 0.2, 0.999, 1])
def test_neither_side_is_empty(days: int, per_day: int, val: float) -> None:
    images = make_ids(days, per_day)
    split = split_images(images, val)
    assert split.train
    assert split.val
    assert sorted([*split.train, *split.val]) == sorted(images)


def test_nothing_held_back_is_said() -> None:
    images = make_ids(5)
    assert "nothing is held back (as asked)" in split_images(images, 0).note
    assert split_images(images, 0).val == images
    assert "too few" in split_images(images[:1], 0.2).note


def test_list_names_files_relative_to_itself() -> None:
    assert list_files("images", ["a", "b"]) == b"./images/a.jpg\n./images/b.jpg\n"

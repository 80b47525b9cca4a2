from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pipeline.errors import StorageError
from services.labeling.sets.formats.entries import LeftOut, read_ahead

IDS = [f"quai-20261121T0916{n:02d}Z-8be14bda" for n in range(60)]


def test_images_come_in_order_each_once() -> None:
    again = [*IDS, IDS[0], "no id", "../x"]
    assert [found.image for found in read_ahead(again, leave_out)] == IDS  # type: ignore[union-attr]


def test_only_a_few_images_are_read_ahead() -> None:
    asked: list[str] = []

    def ask() -> Iterator[str]:
        for image in IDS:
            asked.append(image)
            yield image

    reading = read_ahead(ask(), leave_out)
    next(reading)
    assert len(asked) <= 32
    assert len(list(reading)) == len(IDS) - 1


def test_first_failure_ends_the_reading() -> None:
    calls = []
    lock = threading.Lock()

    def fail(image: str) -> LeftOut:
        with lock:
            calls.append(image)
        raise StorageError("the object store does not answer")

    with pytest.raises(StorageError):
        list(read_ahead(IDS, fail))
    assert len(calls) < len(IDS)


def leave_out(image: str) -> LeftOut:
    return LeftOut(image, "asked for")

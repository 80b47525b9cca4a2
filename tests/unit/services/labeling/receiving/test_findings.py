from __future__ import annotations

import pytest

from services.labeling.receiving.findings import Findings

A, B, C = (f"cam-20261121T10000{n}Z-deadbeef" for n in range(3))


def find(*tasks: tuple[int, str | None]) -> Findings:
    found = Findings()
    for task, image in tasks:
        found.add(task, image)
    return found


def test_task_is_missing_by_its_number_and_its_image() -> None:
    found = find((1, A), (2, B), (3, None), (4, "somebody's"))
    known = {(1, A), (2, C), (3, B), (4, C), (5, A)}
    assert found.find_missing(known) == [(2, C), (5, A)]


@pytest.mark.parametrize(
    ("there", "missing", "doubted"),
    [(0, 10, False), (0, 11, True), (11, 11, False), (10, 11, True), (99, 0, False)],
)
def test_much_that_is_missing_is_doubted(there: int, missing: int, doubted: bool) -> None:
    found = Findings()
    known = {(number, A) for number in range(there + missing)}
    lost = [(number, A) for number in range(missing)]
    assert found.doubt(lost, known) == doubted
    assert bool(list(found.describe())) == doubted


def test_number_that_was_given_again_is_doubted_however_few_are_missing() -> None:
    found = find((1, A))
    known = {(1, B), (2, C), *((number, A) for number in range(3, 50))}
    assert found.doubt([(1, B), (2, C)], known)
    [note] = found.describe()
    assert note.startswith(
        "2 of 49 labeling tasks are missing there, the numbers of 1 are of other images now, and "
        "nothing is marked as deleted"
    )


def test_images_with_several_tasks_are_told_with_all_of_them() -> None:
    found = find((1, A), (2, A), (2, A), (3, B), (4, A))
    assert found.find_others() == [(2, A), (2, A), (4, A)]

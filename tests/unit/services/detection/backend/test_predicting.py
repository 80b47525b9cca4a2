"""One answer per task, in order, whatever becomes of each, and in time."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import keys
from pipeline.fetch import Fetcher, FetchLimits
from pipeline.labels.interface import write_interface
from pipeline.storage import ObjectStore, StoredObject
from pipeline.vitals import Vitals
from services.detection.backend.abilities import find_ability
from services.detection.backend.images import TaskImages
from services.detection.backend.predicting import Predictor, Question
from services.detection.backend.settings import BackendSettings
from tests.ml_backend import Painted, paint

CAR, EMPTY = (f"quai-20261121T09164{n}Z-8be14bda" for n in range(2))


@dataclass
class Bench:
    predictor: Predictor
    detector: Painted
    vitals: Vitals

    async def answer(
        self, *images: Any, ends_at: float = math.inf, limit: int = 100
    ) -> list[list[str]]:
        tasks = [
            {"id": number, "data": {"image_id": image}} if isinstance(image, str) else image
            for number, image in enumerate(images)
        ]
        settings = BackendSettings()
        ability = find_ability(write_interface(["car"]), settings, lambda _: [self.detector])
        answers = await self.predictor.answer(tasks, Question(ability, None, ends_at), limit)
        return [[one["model_version"] for one in answer] for answer in answers]


FOUND = ["yolox-nano 1f2e3d4c"]


@pytest.fixture
def make_bench(store: ObjectStore) -> Iterator[Callable[[int], Bench]]:
    for image, body in ((CAR, paint("car")), (EMPTY, paint())):
        store.put(keys.stored_image(image), StoredObject(body, "image/jpeg"))
    made = []

    def make(threads: int) -> Bench:
        vitals = Vitals()
        images = TaskImages(store, Fetcher(FetchLimits(), "Traboule/test"))
        made.append(predictor := Predictor(images, threads, vitals))
        return Bench(predictor, Painted(), vitals)

    yield make
    for predictor in made:
        predictor.close()


def test_every_task_has_its_answer_in_order(make_bench: Callable[[int], Bench]) -> None:
    asked: tuple[Any, ...] = (
        CAR,
        {},
        EMPTY,
        CAR,
        {"id": 3, "data": 7},
        {"id": [], "data": {"image": []}},
        CAR,
    )
    answers = asyncio.run(make_bench(2).answer(*asked))
    assert answers == [FOUND, [], [], FOUND, [], [], FOUND]


def test_no_tasks_no_answers(make_bench: Callable[[int], Bench]) -> None:
    assert asyncio.run(make_bench(2).answer()) == []


def test_detector_that_fails_costs_one_task(
    make_bench: Callable[[int], Bench], caplog: pytest.LogCaptureFixture
) -> None:
    bench = make_bench(1)

    def fail_once() -> None:
        if bench.detector.looks == 1:
            raise RuntimeError("a bug")

    bench.detector.before = fail_once
    assert sorted(asyncio.run(bench.answer(CAR, CAR))) == [[], FOUND]
    assert bench.vitals.oldest_task_at == 0


def test_what_does_not_fit_in_time_is_answered_all_the_same(
    make_bench: Callable[[int], Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench(1)
    clock = SimpleNamespace(monotonic=lambda: 0.2 * bench.detector.looks)
    monkeypatch.setattr("services.detection.backend.predicting.time", clock)
    answers = asyncio.run(bench.answer(*[CAR] * 20, ends_at=0.5))
    assert (answers.count(FOUND), answers.count([])) == (3, 17)


def test_slow_failures_do_not_keep_others_from_their_turn(
    make_bench: Callable[[int], Bench],
) -> None:
    bench = make_bench(1)
    first: set[int] = set()
    for _ in range(200):
        answers = asyncio.run(bench.answer(CAR, CAR, CAR, limit=1))
        first.add(answers.index(FOUND))
        if len(first) == 3:
            break
    assert first == {0, 1, 2}


def test_beyond_the_limit_no_task_is_looked_at(make_bench: Callable[[int], Bench]) -> None:
    bench = make_bench(2)
    answers = asyncio.run(bench.answer(CAR, CAR, CAR, limit=2))
    assert sorted(answers) == [[], FOUND, FOUND]
    assert bench.detector.looks == 2


def test_as_many_look_at_once_as_there_are_threads(make_bench: Callable[[int], Bench]) -> None:
    bench, lock, at_once, most = make_bench(2), threading.Lock(), 0, 0
    both = threading.Barrier(2, timeout=60)

    def look() -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        both.wait()
        with lock:
            at_once -= 1

    async def ask_twice() -> None:
        await asyncio.gather(bench.answer(*[CAR] * 4), bench.answer(*[CAR] * 4))

    bench.detector.before = look
    asyncio.run(ask_twice())
    assert most == 2


def test_short_request_does_not_wait_for_the_end_of_a_long_one(
    make_bench: Callable[[int], Bench],
) -> None:
    bench = make_bench(1)
    bench.detector.before = lambda: time.sleep(0.05)
    ended: list[str] = []

    async def ask(name: str, count: int) -> None:
        await bench.answer(*[CAR] * count)
        ended.append(name)

    async def ask_both() -> None:
        await asyncio.gather(ask("long", 20), ask("short", 2))

    asyncio.run(ask_both())
    assert ended == ["short", "long"]


def test_look_that_hangs_is_seen_by_the_watchdog(make_bench: Callable[[int], Bench]) -> None:
    bench, seen = make_bench(1), []
    bench.detector.before = lambda: seen.append(bench.vitals.oldest_task_at)
    asyncio.run(bench.answer(CAR))
    assert seen[0] > 0
    assert bench.vitals.oldest_task_at == 0

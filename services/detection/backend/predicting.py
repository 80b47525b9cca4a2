"""Tasks in, predictions out: one answer per task, in the same order, whatever becomes of each.

Label Studio stores nothing of an answer that is one short. A task without predictions is an empty
list in it: nothing is stored for that task alone, and a later run asks about it again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from pipeline.errors import PipelineError
from pipeline.logs import get_logger
from pipeline.vitals import Vitals
from services.detection.backend.abilities import Ability, Prediction
from services.detection.backend.images import TaskImages
from services.detection.backend.setups import Setup

log = get_logger(__name__)


@dataclass(frozen=True)
class Question:
    """What one request asks about each of its tasks; `ends_at` is of the monotonic clock."""

    ability: Ability
    setup: Setup | None
    ends_at: float


class Predictor:
    """As many looks at once as `threads`, over all requests; a short request beside a long one has
    its turn after every look."""

    def __init__(self, images: TaskImages, threads: int, vitals: Vitals | None = None) -> None:
        self._images = images
        self._threads = threads
        self._vitals = vitals or Vitals()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="prediction")
        self._slots = asyncio.Semaphore(threads)

    def close(self) -> None:
        self._pool.shutdown()

    async def answer(
        self, tasks: Sequence[Mapping[str, Any]], question: Question, limit: int
    ) -> list[list[Prediction]]:
        """No more than `limit` tasks are looked at, and none after the question's end. In any
        order: some that fail slowly, always the first, would keep the others from their turn."""
        answers: list[list[Prediction]] = [[] for _ in tasks]
        chosen = random.sample(range(len(tasks)), min(limit, len(tasks)))
        waiting = iter([(number, tasks[number]) for number in chosen])
        work = (self._work(waiting, question, answers) for _ in range(self._threads))
        looked_at = sum(await asyncio.gather(*work))
        log.info("answered", tasks=len(tasks), looked_at=looked_at, found=sum(map(bool, answers)))
        return answers

    async def _work(
        self,
        waiting: Iterator[tuple[int, Mapping[str, Any]]],
        question: Question,
        answers: list[list[Prediction]],
    ) -> int:
        loop, looked_at = asyncio.get_running_loop(), 0
        for number, task in waiting:
            async with self._slots:
                if time.monotonic() > question.ends_at:
                    break
                look = partial(self._look, task, question)
                answers[number] = await loop.run_in_executor(self._pool, look)
                looked_at += 1
        return looked_at

    def _look(self, task: Mapping[str, Any], question: Question) -> list[Prediction]:
        hand, ability = f"task {id(task)}", question.ability
        self._vitals.take_in_hand(hand)
        try:
            pixels = self._images.read(task, ability.field, question.setup)
            return ability.predict(pixels, f"task {task.get('id')}")
        except PipelineError as error:
            log.warning("no prediction", task=task.get("id"), reason=str(error))
        except Exception:  # one task must not cost the others their answers
            log.exception("no prediction", task=task.get("id"))
        finally:
            self._vitals.put_down(hand)
        return []

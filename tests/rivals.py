"""Rivals: threads of several processes that do the same to one catalog at the same moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing, contextmanager
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from typing import TypeVar

from pipeline.catalog import Catalog, open_catalog

PROCESSES, THREADS = 2, 4
RIVALS = PROCESSES * THREADS
PATIENCE_S = 60

Told = TypeVar("Told")
Deed = Callable[[Catalog, int], Told]  # a function of a module, and which rival does it

_start: Barrier  # a process has it from `_enter`


class Arena:
    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def compete(self, url: str, deed: Deed[Told]) -> list[Told]:
        """What each rival's deed returned, in the order of their numbers."""
        shares = [range(n * THREADS, (n + 1) * THREADS) for n in range(PROCESSES)]
        told = [self._pool.submit(_take_part, url, deed, share) for share in shares]
        return [one for done in told for one in done.result()]


@contextmanager
def open_arena() -> Iterator[Arena]:
    context = get_context("spawn")
    start = context.Barrier(RIVALS, timeout=PATIENCE_S)
    with ProcessPoolExecutor(PROCESSES, context, _enter, (start,)) as pool:
        yield Arena(pool)


def _enter(start: Barrier) -> None:
    global _start
    _start = start


def _take_part(url: str, deed: Deed[Told], share: range) -> list[Told]:
    with closing(open_catalog(url)) as catalog, ThreadPoolExecutor(THREADS) as threads:

        def act(rival: int) -> Told:
            with catalog.engine.connect():
                pass  # connected before the start
            _start.wait()  # a process is not given a second share before all have one
            return deed(catalog, rival)

        return list(threads.map(act, share))

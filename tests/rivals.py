"""Rivals: threads of several processes that do the same to one catalog at the same moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing, contextmanager
from multiprocessing import get_context
from typing import TypeVar

from pipeline.catalog import Catalog, open_catalog

PROCESSES, THREADS = 2, 4
RIVALS = PROCESSES * THREADS

Told = TypeVar("Told")
Deed = Callable[[Catalog, int], Told]  # a function of a module, and which rival does it


class Arena:
    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def compete(self, url: str, deed: Deed[Told]) -> list[Told]:
        """What each rival's deed returned, in the order of their numbers."""
        starts_at = time.time() + 0.4  # whoever is ready by then starts together
        shares = [range(n * THREADS, (n + 1) * THREADS) for n in range(PROCESSES)]
        told = [self._pool.submit(_take_part, url, deed, share, starts_at) for share in shares]
        return [one for done in told for one in done.result()]


@contextmanager
def open_arena() -> Iterator[Arena]:
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        for ready in [pool.submit(time.sleep, 0.1) for _ in range(PROCESSES)]:
            ready.result()
        yield Arena(pool)


def _take_part(url: str, deed: Deed[Told], share: range, starts_at: float) -> list[Told]:
    with closing(open_catalog(url)) as catalog, ThreadPoolExecutor(THREADS) as threads:

        def act(rival: int) -> Told:
            with catalog.engine.connect():
                pass  # connected before the start
            time.sleep(max(0.0, starts_at - time.time()))
            return deed(catalog, rival)

        return list(threads.map(act, share))

from __future__ import annotations

import threading

from pipeline.broker import Handlers, PerProcess
from pipeline.messages import PollDue, Tick


def test_handlers_are_kept_with_their_messages() -> None:
    handlers: Handlers[list[str]] = Handlers()

    @handlers.on(PollDue)
    def poll(context: list[str], message: PollDue) -> None:
        context.append(message.camera)

    @handlers.on(Tick)
    def tick(context: list[str], message: Tick) -> None:
        context.append("tick")

    assert [handler.message for handler in handlers.all] == [PollDue, Tick]
    context: list[str] = []
    handlers.all[0].run(context, PollDue(camera="a", token="t"))
    assert context == ["a"]


def test_context_is_built_once_per_process_and_not_before_it_is_needed() -> None:
    built: list[int] = []

    def build() -> int:
        built.append(1)
        return len(built)

    context = PerProcess(build)
    assert built == []
    threads = [threading.Thread(target=context.get) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert context.get() == 1

"""A message that a worker sends itself through the broker, to see that its pool still works.

`inspect ping` is answered while the only slot hangs.
"""

from __future__ import annotations

import os
import socket
import threading
from typing import Any

from celery import Celery, signals
from celery.beat import Scheduler
from celery.worker import state

from pipeline.broker.publishing import is_refusal, queue_of, sent_or_broker_error
from pipeline.errors import BrokerError
from pipeline.logs import get_logger
from pipeline.vitals import Vitals
from pipeline.watchdog import die_with_parent

log = get_logger(__name__)

EVERY_S = 10.0
EXPIRES_S = 60.0


class Heart:
    """Beats from when the worker is ready until it is told to stop.

    While the broker is away, nobody is to blame. A password that is no longer good is another
    matter: the worker stands still until it is ended, and the next one reads the new password.
    """

    def __init__(self, app: Celery, vitals: Vitals, every_s: float = EVERY_S) -> None:
        self._app = app
        self._vitals = vitals
        self._every_s = every_s
        self._reason = ""
        self._task = f"{app.main}.heartbeat"
        name = f"{app.main}.heartbeat.{socket.gethostname()}-{os.getpid()}"
        self._queue = queue_of(name, expires=EXPIRES_S)  # gone with its worker
        self._listen(name)

    def start(self, consumer: Any = None) -> None:
        threading.Thread(target=self.beat, name="heartbeat", daemon=True).start()

    def _listen(self, name: str) -> None:
        """Not acknowledged: it needs no slot of the prefetch, and none is left in hand."""
        self._app.amqp.queues.select_add(queue_of(name, no_ack=True))
        self._app.task(name=self._task, shared=False, acks_late=False)(self._vitals.touch_as_ready)

    def beat(self) -> None:
        pause = threading.Event()
        while state.should_stop is None:  # else what is sent outlives the queue's consumer
            self.send()
            pause.wait(self._every_s)

    def send(self) -> None:
        try:
            with sent_or_broker_error("a heartbeat"):
                self._app.send_task(self._task, queue=self._queue, expires=EXPIRES_S)
        except BrokerError as error:
            if not is_refusal(error):
                self._vitals.excuse()
            self._say(str(error.__cause__))
        else:
            self._say("")

    def _say(self, reason: str) -> None:
        if reason and not self._reason:
            log.warning("the broker takes no heartbeat", reason=reason)
        elif self._reason and not reason:
            log.info("the broker takes heartbeats again")
        self._reason = reason


def follow_tasks(vitals: Vitals) -> None:
    """Note every task of this process as it begins and ends, by the thread that does it: a message
    that comes again while its thread hangs has the same id, and would hide it."""

    def begin(**_: Any) -> None:
        vitals.take_in_hand(str(threading.get_ident()))

    def end(**_: Any) -> None:
        vitals.put_down(str(threading.get_ident()))

    signals.task_prerun.connect(begin, weak=False)
    signals.task_postrun.connect(end, weak=False)


class WatchedScheduler(Scheduler):
    """Beat that shows when it last ticked, and ends with its worker. It keeps no file: what it
    would note there is in the catalog."""

    def __init__(self, vitals: Vitals, worker: int, **options: Any) -> None:
        if os.getpid() != worker:
            die_with_parent(worker)
        self._vitals = vitals
        super().__init__(**options)

    def tick(self, *args: Any, **options: Any) -> Any:
        self._vitals.touch_beat()
        return super().tick(*args, **options)

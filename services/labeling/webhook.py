"""Label Studio's webhook: a hint that something changed, and nothing more. What has changed is read
from Label Studio itself, so that a forged or repeated one can do no harm, nor a lost one."""

from __future__ import annotations

import hmac
import threading
from pathlib import Path

from pipeline.broker import Publish
from pipeline.errors import BrokerError, UserError
from pipeline.logs import get_logger
from pipeline.messages import FollowChanges
from services.labeling.settings import read_secret

WITHIN_S = 1.0

log = get_logger(__name__)


def is_known(given: str, secret_file: Path | None) -> bool:
    """Whether the secret is the one in the file, compared in constant time. Without a file nobody
    is known."""
    try:
        secret = read_secret(secret_file, "the webhook's secret")
    except UserError as error:
        log.warning("no webhook is taken", reason=str(error))
        return False
    return hmac.compare_digest(given.encode(), secret.encode())


class Doorbell:
    """However often it is rung, FollowChanges is sent at most once in a while, and always after the
    last ring: Label Studio rings before its own transaction has ended."""

    def __init__(self, publish: Publish, within_s: float = WITHIN_S) -> None:
        self._publish = publish
        self._within_s = within_s
        self._lock = threading.Lock()
        self._rung = False

    def ring(self) -> None:
        with self._lock:
            if self._rung:
                return
            self._rung = True
        timer = threading.Timer(self._within_s, self._answer)
        timer.daemon = True
        timer.start()

    def _answer(self) -> None:
        with self._lock:
            self._rung = False
        try:
            self._publish(FollowChanges())
        except BrokerError as error:  # beat says it again
            log.warning("a hint was not passed on", reason=str(error))

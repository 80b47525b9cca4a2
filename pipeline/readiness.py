"""Waiting at start until the servers answer: an orchestrator may start everything at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from pipeline.broker import check_broker
from pipeline.catalog import open_catalog
from pipeline.errors import StorageDenied, TransientError
from pipeline.logs import get_logger
from pipeline.settings import PipelineSettings
from pipeline.storage import open_store

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 5.0
NOBODYS_KEY = "sources/nobody.json"

log = get_logger(__name__)

Check = Callable[[], None]


def wait_for_servers(
    load: Callable[[], PipelineSettings], on_try: Callable[[], None]
) -> PipelineSettings:
    """The settings by which catalog, object store and broker answer.

    They are loaded anew with every try, since passwords are rotated; `on_try` is called as often.
    It waits for ever: for a server that is away, for init to make users and schema. UserError for
    what waiting cannot mend.
    """
    checks = {
        "catalog": lambda: open_catalog(load().catalog_url).close(),
        "store": lambda: _check_store(load().store_url),
        "broker": lambda: check_broker(load().broker_url),
    }
    for server, check in checks.items():
        wait_for(server, check, on_try)
    return load()


def wait_for(
    server: str,
    check: Check,
    on_try: Callable[[], None],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Check ever less often until TransientError is no longer raised; each reason is said once."""
    pause_s, said = FIRST_PAUSE_S, ""
    while (reason := _reason_against(check, on_try)) is not None:
        if reason != said:
            log.warning("waiting for a server", server=server, reason=reason)
            said = reason
        sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
    if said:
        log.info("the server answers", server=server)


def _reason_against(check: Check, on_try: Callable[[], None]) -> str | None:
    on_try()
    try:
        check()
    except TransientError as error:
        causes = str(error.__cause__ or "").splitlines()
        return f"{error}: {causes[0]}" if causes else str(error)
    return None


def _check_store(url: str) -> None:
    """Refusing is answering: most may not ask for this object, and init makes the store's users
    before it brings the catalog's schema up to date."""
    with suppress(StorageDenied):
        open_store(url).exists(NOBODYS_KEY)

"""Doctor's checks of the servers of `docker compose`: broker, object store, catalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline import keys
from pipeline.addresses import hide_secrets
from pipeline.catalog.integrity import Integrity
from pipeline.errors import BrokerError, PipelineError, StorageDenied
from pipeline.messages import Message
from pipeline.routes import BEATS, ROUTES, route_of
from pipeline.storage import ObjectStore, open_store
from services.capture.settings import CaptureSettings
from traboule.check import Check, Patient

DEEP = 500  # messages: as many as maintenance lets be announced at once
BEATS_MISSED_S = 60.0
LOGS = "docker compose logs"
DENIED = "its password was changed a moment ago, or init did not end well: docker compose logs init"


def check_broker(patient: Patient) -> Sequence[Check]:
    """Whether it takes us in, and how much waits in its queues."""
    url = patient.settings.broker_url
    if patient.folder is not None or url.startswith("memory:"):
        return []
    try:
        from pipeline.queues import queue_depths

        depths = queue_depths(url, tuple(dict.fromkeys(route.queue for route in ROUTES)))
    except (BrokerError, ImportError) as error:
        return [_fail("broker", "broker", f"{hide_secrets(url)}: {error}")]
    return [Check("broker", "ok", f"{hide_secrets(url)} answers"), _judge_queues(depths)]


def _judge_queues(depths: Mapping[str, int | None]) -> Check:
    told = ", ".join(
        f"{queue} {'not ours to see' if depth is None else depth}"
        for queue, depth in depths.items()
    )
    deep = [queue for queue, depth in depths.items() if depth and depth > _most(queue)]
    if not deep:
        return Check("queues", "ok", f"messages that wait: {told}")
    advice = f"who takes from it may have stopped, or be too few: {LOGS} {' '.join(deep)}"
    return Check("queues", "warn", f"too many messages wait: {told}", advice)


def _most(queue: str) -> float:
    """More messages than this are a backlog: of what beat sends, a minute's, and ten at least."""
    per_s = [1 / beat.every_s for beat in BEATS if _queue_of(type(beat.message)) == queue]
    return max(10.0, sum(per_s) * BEATS_MISSED_S) if per_s else DEEP


def check_object_store(patient: Patient) -> Sequence[Check]:
    url = patient.settings.store_url
    if patient.folder is not None:
        return []
    try:
        store = open_store(url)
        next(iter(store.list(keys.SOURCES)), None)
        return [Check("object store", "ok", f"{hide_secrets(url)} answers"), *_check_room(store)]
    except PipelineError as error:
        return [_fail("object store", "object-store", f"{hide_secrets(url)}: {error}")]


def _check_room(store: ObjectStore) -> Sequence[Check]:
    try:
        free = store.free_bytes()
    except StorageDenied:
        return []  # capture's matter, which looks before every poll
    if free is None:
        return []
    needed = CaptureSettings().min_free_bytes
    what = f"{free / 1e9:.1f} GB free; below {needed / 1e9:.1f} GB nothing is captured"
    if free < 2 * needed:
        advice = "make room on the disk of the volume object-store-data"
        return [Check("disk", "fail" if free < needed else "warn", what, advice)]
    return [Check("disk", "ok", what)]


def judge_server(found: Integrity) -> Check:
    """A catalog that is a server's."""
    if found.damage:
        return _fail("catalog", "catalog", f"it does not answer: {found.damage}")
    if found.revision is None:
        return Check("catalog", "fail", "it has no tables yet", f"init makes them: {LOGS} init")
    if not found.is_known:
        what = f"its schema {found.revision} is not known here"
        return Check("catalog", "fail", what, "it was made by a newer Traboule: use that one")
    if found.revision != found.newest:
        what = f"its schema {found.revision} is older than {found.newest}"
        return Check("catalog", "fail", what, "docker compose up --detach, which begins with init")
    return Check("catalog", "ok", f"it answers; schema {found.revision}")


def _fail(name: str, service: str, what: str) -> Check:
    denied = "password" in what
    return Check(
        name, "fail", what, DENIED if denied else f"docker compose ps {service}; {LOGS} {service}"
    )


def _queue_of(message: type[Message]) -> str | None:
    route = route_of(message)
    return route.queue if route else None

"""Why a fetch failed, as a FetchError with an outcome and a sentence that names the host."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests
import urllib3.exceptions

from pipeline.errors import FetchError
from pipeline.records import Outcome

MAX_RETRY_AFTER_S = 3600.0

_TIMEOUTS = (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
_TLS = (requests.exceptions.SSLError, urllib3.exceptions.SSLError)
_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
)
_BAD_ANSWER = (
    requests.exceptions.InvalidHeader,
    urllib3.exceptions.InvalidHeader,
    urllib3.exceptions.DecodeError,
)


def refuse_status(answer: requests.Response, name: str, *, conditional: bool) -> None:
    """Raise FetchError unless the answer is a 2xx, or a 304 to a conditional GET."""
    status = answer.status_code
    if 200 <= status < 300 or (status == requests.codes.not_modified and conditional):
        return
    retry_after_s = parse_retry_after(answer.headers.get("Retry-After"), datetime.now(UTC))
    limited = status == requests.codes.too_many_requests or (
        status == requests.codes.service_unavailable and retry_after_s is not None
    )
    outcome = Outcome.RATE_LIMITED if limited else Outcome.HTTP_ERROR
    raise FetchError(outcome, f"{name}: answered {status}", retry_after_s=retry_after_s)


def parse_retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds to wait, from seconds or an HTTP date, within an hour; None if it says neither."""
    seconds: float | None = None
    with contextlib.suppress(ValueError, OverflowError):
        seconds = float(int(text or ""))
    if seconds is None and text:
        with contextlib.suppress(ValueError, OverflowError):
            moment = parsedate_to_datetime(text)
            seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
    return None if seconds is None else min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def explain_failure(error: Exception, name: str) -> FetchError:
    """The FetchError for what requests, urllib3 or a socket raised."""
    if isinstance(error, _TIMEOUTS):
        return FetchError(Outcome.TIMED_OUT, f"{name}: stopped answering")
    if isinstance(error, _TLS):
        return FetchError(Outcome.UNREACHABLE, f"{name}: no secure connection: {_why(error)}")
    if isinstance(error, _ADDRESS):
        return FetchError(Outcome.UNREACHABLE, f"{name}: not a valid address")
    if isinstance(error, _BAD_ANSWER):
        return FetchError(Outcome.HTTP_ERROR, f"{name}: its answer is not valid HTTP")
    if isinstance(error, requests.exceptions.ProxyError):
        return FetchError(Outcome.UNREACHABLE, f"{name}: the proxy did not pass the request on")
    return FetchError(Outcome.UNREACHABLE, f"{name}: broke off its answer")


def _why(error: BaseException) -> str:
    """What OpenSSL says of a certificate, or the kind of the error."""
    cause: BaseException | None = error
    while cause is not None:
        if message := getattr(cause, "verify_message", None):
            return str(message)
        inner = getattr(cause, "reason", None) or next(iter(cause.args), None)
        cause = inner if isinstance(inner, BaseException) else cause.__context__
    return "TLS failed"

"""Bodies of requests, read within bounds, and what is answered to those that are not."""

from __future__ import annotations

import asyncio
import json
from typing import TypeVar

from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request

from pipeline.records import Record

WITHIN_S = 10.0

Asked = TypeVar("Asked", bound=Record)


class Refused(Exception):
    """Answered with an HTTP status and a reason that holds nothing of the request."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


async def read_asked(request: Request, kind: type[Asked], max_bytes: int) -> Asked:
    """The body as a `kind`. Raises Refused: 400, 408, 413 or 422."""
    try:
        async with asyncio.timeout(WITHIN_S):
            body = await _read(request, max_bytes)
    except TimeoutError:
        raise Refused(408, "the request did not come to its end in time") from None
    except ClientDisconnect:
        raise Refused(400, "the request was cut off") from None
    try:
        return kind.model_validate(json.loads(body))
    except ValidationError:
        raise Refused(422, "not a request of Label Studio's") from None
    except (ValueError, RecursionError):
        raise Refused(400, "not JSON") from None


async def _read(request: Request, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise Refused(413, f"more than {max_bytes:,} bytes: select fewer tasks")
    return bytes(body)

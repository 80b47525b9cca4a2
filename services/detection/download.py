"""Model files fetched into a cache: bounded in size and time, proven before they are there."""

from __future__ import annotations

import hashlib
import os
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import requests
import urllib3

from pipeline.errors import CorruptModel, TransientError, UserError
from services.detection.models import ModelFile, is_official

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 20.0
DEADLINE_S = 300.0
CHUNK_BYTES = 65_536
HEADERS = {"User-Agent": "traboule", "Accept-Encoding": "identity"}

Progress = Callable[[int, int], None]  # bytes so far, bytes in all


def pull_model(
    model: ModelFile, cache: Path, *, progress: Progress, deadline_s: float = DEADLINE_S
) -> Path:
    """Download `model` into `cache` unless its official file is there; give its path.

    Tries each of its addresses. Raises CorruptModel (other bytes than the official ones came),
    TransientError (nothing came, or not all of it in time), UserError (`cache` unwritable).
    """
    path = cache / model.filename
    if is_official(model, path):
        return path
    ends_at = time.monotonic() + deadline_s
    failures: list[CorruptModel | TransientError] = []
    for url in model.urls:
        try:
            with _replace(path) as file:
                _download(model, _open(url, ends_at), file, progress, ends_at)
            return path
        except (CorruptModel, TransientError) as error:
            failures.append(error)
    reasons = f"cannot pull {model.filename}: " + "; ".join(map(str, failures))
    if any(isinstance(error, CorruptModel) for error in failures):
        raise CorruptModel(reasons)
    raise TransientError(reasons)


def _open(url: str, ends_at: float) -> requests.Response:
    """Headers of `url`. A thread waits for them: no timeout of requests ends a dripped header."""
    answers: queue.Queue[requests.Response | requests.RequestException] = queue.Queue(maxsize=1)

    def ask() -> None:
        timeouts = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
        try:
            answer = requests.get(url, headers=HEADERS, timeout=timeouts, stream=True)
            if time.monotonic() > ends_at:
                answer.close()  # nobody waits any more
            answers.put(answer)
        except requests.RequestException as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=max(0.0, ends_at - time.monotonic()))
    except queue.Empty:
        raise TransientError(f"{url}: no answer in time") from None
    if isinstance(answer, requests.RequestException):
        raise TransientError(f"{url}: {type(answer).__name__}") from answer
    return answer


def _download(
    model: ModelFile,
    response: requests.Response,
    file: IO[bytes],
    progress: Progress,
    ends_at: float,
) -> None:
    """Write the body to `file`, or raise CorruptModel or TransientError."""
    url = response.url
    with response:
        if response.status_code != requests.codes.ok:
            raise TransientError(f"{url}: HTTP {response.status_code}")
        announced = response.headers.get("Content-Length", str(model.bytes))
        if announced != str(model.bytes):
            raise CorruptModel(f"{url}: {announced} bytes instead of {model.bytes}")
        received, sha256 = 0, hashlib.sha256()
        for chunk in _read_chunks(response, ends_at):
            received += len(chunk)
            if received > model.bytes:
                raise CorruptModel(f"{url}: more than {model.bytes} bytes")
            sha256.update(chunk)
            file.write(chunk)
            progress(received, model.bytes)
    if received < model.bytes:
        raise TransientError(f"{url}: ended after {received} of {model.bytes} bytes")
    if sha256.hexdigest() != model.sha256:
        raise CorruptModel(f"{url}: its SHA-256 is {sha256.hexdigest()}, not {model.sha256}")


def _read_chunks(response: requests.Response, ends_at: float) -> Iterator[bytes]:
    try:
        # read1 gives what has come: a full read of a dripped body would not end by the deadline.
        while chunk := response.raw.read1(CHUNK_BYTES):
            yield chunk
            if time.monotonic() > ends_at:
                raise TransientError(f"{response.url}: did not end in time")
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise TransientError(f"{response.url}: {type(error).__name__}") from error


@contextmanager
def _replace(path: Path) -> Iterator[IO[bytes]]:
    """A temporary file beside `path` that takes its place, on the disk, if nothing is raised."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to {path.parent}: {error.strerror}") from error

"""A Label Studio of our own, from PyPI in a virtual environment of its own, and a run of it.

    program = install(cache)                                  # once: a minute or two, 1 GB
    with running_studio(program, folder, port) as studio:     # about 2 s; 30 s the first time
        studio.url, studio.username, studio.password_file, studio.token_file

`folder` holds everything that it knows, its secrets included: whoever keeps it keeps the work.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TextIO

from pipeline.errors import UserError

VERSION = "1.23.2"
USERNAME = "traboule@localhost"
LOG_NAME = "label-studio.log"
PORTS_TRIED = 100
START_WITHIN_S = 600.0  # the first start makes the database: a minute on two busy cores
STOP_WITHIN_S = 10.0
# Label Studio's own list, without 127.0.0.0/8 and ::1.
BANNED_SUBNETS = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
    "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    "::/128", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64",
    "2001::/32", "2001:20::/28", "2001:db8::/32", "2002::/16", "fc00::/7", "fe80::/10", "ff00::/8",
)  # fmt: skip
_WHOLE = "installed"  # written last: without it an installation was interrupted


def place_of(cache: Path) -> Path:
    """Where the virtual environment is, or will be."""
    return cache / f"label-studio-{VERSION}"


def find_program(cache: Path) -> Path | None:
    """The program of a whole installation."""
    place = place_of(cache)
    program = place / "bin" / "label-studio"
    return program if (place / _WHOLE).exists() and program.exists() else None


def install(cache: Path, tell: Callable[[str], None] = lambda line: None) -> Path:
    """The program, installed first where it is not; `tell` hears how it goes, a line at a time."""
    place = place_of(cache)
    cache.mkdir(parents=True, exist_ok=True)
    with _alone(place.with_name(place.name + ".lock"), tell):
        program = find_program(cache)
        if program is None:
            program = _install(place, tell)
    return program


def _install(place: Path, tell: Callable[[str], None]) -> Path:
    tell(f"installing Label Studio {VERSION} in {place} (about 1 GB, a minute or two)")
    _carry_out([sys.executable, "-m", "venv", "--clear", str(place)], tell)
    pip = [str(place / "bin" / "python"), "-m", "pip", "--no-input", "--disable-pip-version-check"]
    quiet = ["--progress-bar", "off", "--no-cache-dir"]
    _carry_out([*pip, "install", *quiet, f"label-studio=={VERSION}"], tell)
    program = place / "bin" / "label-studio"
    if not program.exists():
        raise UserError(f"Label Studio was installed in {place}, but its program is not there")
    (place / _WHOLE).write_text(f"{VERSION}\n")
    return program


def _carry_out(command: list[str], tell: Callable[[str], None]) -> None:
    """Run `command`; its last words are in the error where it fails."""
    last: list[str] = []
    # The caller's PYTHONPATH would put its packages before the new ones.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                last = [*last[-9:], line.rstrip()]
                tell(line.rstrip())
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise UserError("Label Studio could not be installed:\n" + "\n".join(last))


@contextmanager
def _alone(lock: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """Two at once would clear each other's half of the installation."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("waiting for another installation to end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True)
class RunningStudio:
    url: str
    username: str
    password_file: Path
    token_file: Path


@contextmanager
def running_studio(
    program: Path, folder: Path, port: int = 8080, tell: Callable[[str], None] = lambda line: None
) -> Iterator[RunningStudio]:
    """Label Studio with its data and secrets in `folder`, on the first free port from `port` on,
    for this machine alone; it ends with the context. UserError when it does not start."""
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    with _held(folder) as lock:
        chosen = find_port(port)
        if chosen != port:
            tell(f"port {port} is taken: Label Studio is on port {chosen}")
        studio = RunningStudio(
            f"http://127.0.0.1:{chosen}", USERNAME, folder / "password", folder / "token"
        )
        _make_secret(studio.password_file, secrets.token_urlsafe(18))
        _make_secret(studio.token_file, secrets.token_hex(20))
        if not (folder / "data").exists():
            tell("Label Studio makes its database: about half a minute")
        with _process(program, folder, studio, lock) as process:
            _wait_until_ours(process, studio, folder / LOG_NAME)
            tell(f"Label Studio is at {studio.url}; sign in as {USERNAME}")
            yield studio


def find_port(first: int, besides: int | None = None) -> int:
    """The first free port from `first` on, but the one that somebody else is to have: told a busy
    one, Label Studio takes another silently."""
    for port in range(first, min(first + PORTS_TRIED, 65_536)):
        if port == besides:
            continue
        with socket.socket() as probe:
            # As the server itself binds: a connection that just ended is no hindrance.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise UserError(f"no free port from {first} on: choose another")


@contextmanager
def _held(folder: Path) -> Iterator[TextIO]:
    """The folder's lock. The server inherits it, and keeps it should this process be killed."""
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise UserError(
                f"a Label Studio (process {holder}) runs in {folder} already: end it first"
            ) from None
        yield lock


@contextmanager
def _process(
    program: Path, folder: Path, studio: RunningStudio, lock: TextIO
) -> Iterator[subprocess.Popen[bytes]]:
    address = ["--internal-host", "127.0.0.1", "--port", studio.url.rpartition(":")[2]]
    command = [str(program), "start", "--no-browser", *address, "--enable-legacy-api-token"]
    with (folder / LOG_NAME).open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment_of(folder, studio),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(lock.fileno(),),
            umask=0o077,
            start_new_session=True,  # Ctrl-C is for us: it ends when what works with it has ended
        )
    lock.truncate(0)
    lock.write(str(process.pid))
    lock.flush()
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def environment_of(folder: Path, studio: RunningStudio) -> dict[str, str]:
    """All that it is told. Nothing else of ours: it reads bare names like HOST and USERNAME."""
    inherited = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE")
    settings = {
        "BASE_DATA_DIR": str(folder / "data"),
        "HOST": studio.url,
        "USERNAME": studio.username,
        "PASSWORD": studio.password_file.read_text().strip(),
        "USER_TOKEN": studio.token_file.read_text().strip(),
        "ENABLE_LEGACY_API_TOKEN": "true",  # its exports need the owner's
        "DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        # Its own limits are 1 to 3 s. Both of /api/ml within the 20 s that we wait for an answer.
        "ML_CONNECTION_TIMEOUT": "5",
        "ML_TIMEOUT_HEALTH": "5",
        "ML_TIMEOUT_SETUP": "10",
        "WEBHOOK_TIMEOUT": "5",
        # Webhooks and the ML backend are on loopback: everything else of its list stays refused.
        "USE_DEFAULT_BANNED_SUBNETS": "false",
        "USER_ADDITIONAL_BANNED_SUBNETS": ",".join(BANNED_SUBNETS),
    }
    return {
        **{name: os.environ[name] for name in inherited if name in os.environ},
        "HOME": str(folder),
        **{f"LABEL_STUDIO_{name}": value for name, value in settings.items()},
    }


def _make_secret(file: Path, secret: str) -> None:
    """Written once, for its owner alone; whole or not at all."""
    if file.exists():
        return
    partial = file.with_suffix(".new")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(secret + "\n")
    partial.rename(file)


def _wait_until_ours(process: subprocess.Popen[bytes], studio: RunningStudio, log: Path) -> None:
    """Until it answers, and knows our token: the port may have been taken just before it."""
    end = time.monotonic() + START_WITHIN_S
    while _ask(studio.url, "/health", None) != 200:
        if process.poll() is not None:
            raise UserError(f"Label Studio did not start; the end of {log}:\n{_tail(log)}")
        if time.monotonic() > end:
            raise UserError(f"Label Studio did not start within {START_WITHIN_S:.0f} s: see {log}")
        time.sleep(0.1)
    token = studio.token_file.read_text().strip()
    if _ask(studio.url, "/api/current-user/whoami", token) != 200:
        raise UserError(
            f"the Label Studio at {studio.url} does not know the token in {studio.token_file}: "
            "either it is not ours, or the file was changed since its first start"
        )


def _ask(url: str, path: str, token: str | None) -> int | None:
    """The status of its answer."""
    connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        headers = {} if token is None else {"Authorization": f"Token {token}"}
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])

"""Whether a Label Studio lets us in: its address, the token, and what is wrong if it does not."""

from __future__ import annotations

import base64
import codecs
import json
import stat
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.errors import UserError
from services.labeling.studio.failures import StudioError

MAX_TOKEN_BYTES = 4_096
_PAGES = ("/projects", "/user", "/organization", "/api")  # what a person may copy along


class TokenKind(StrEnum):
    LEGACY = "legacy"  # forty hexadecimal digits
    PERSONAL = "personal"  # exchanged for an access token, again and again
    ACCESS = "access"  # what a personal one is exchanged for: over after five minutes


@dataclass(frozen=True)
class TokenFile:
    token: str = field(repr=False)
    warning: str | None = None


@dataclass(frozen=True)
class Access:
    """`problem` is None where everything is well, else one sentence for a person."""

    version: str | None
    user: str | None
    kind: TokenKind
    problem: str | None


def read_token(file: Path) -> TokenFile:
    """The token in a file. UserError, which never shows it, for a file that cannot hold one."""
    try:
        with file.open("rb") as opened:
            held = opened.read(MAX_TOKEN_BYTES + 1)
            mode = stat.S_IMODE(file.stat().st_mode)
    except OSError as error:
        raise UserError(f"the token file {file} cannot be read: {error.strerror}") from error
    text = held.removeprefix(codecs.BOM_UTF8).decode("ascii", errors="replace").strip()
    if not text:
        raise UserError(f"the token file {file} is empty")
    if len(held) > MAX_TOKEN_BYTES or not text.isascii() or not text.isprintable() or " " in text:
        raise UserError(f"the token file {file} must hold the token and nothing else")
    others = f"{file} can be read by others: chmod 600 {file}" if mode & 0o077 else None
    return TokenFile(text, others)


def tell_kind(token: str) -> TokenKind:
    """What the token says of itself; nothing of it is verified."""
    parts = token.split(".")
    if len(parts) != 3:
        return TokenKind.LEGACY
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return TokenKind.LEGACY
    if not isinstance(claims, dict):
        return TokenKind.LEGACY
    return TokenKind.ACCESS if claims.get("token_type") == "access" else TokenKind.PERSONAL


def read_url(text: str) -> str:
    """A Label Studio's address, from what a person has in the browser's line. UserError."""
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname, parts.port
        understood = parts.scheme in ("http", "https") and host
    except ValueError:
        understood = None
    if not understood or host is None:
        raise UserError("the address of a Label Studio begins with http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise UserError("leave name and password out of the address: the token is enough")
    place = f"[{host}]" if ":" in host else host
    path = parts.path
    for page in _PAGES:
        path = path.partition(page + "/")[0].removesuffix(page)
    return f"{parts.scheme}://{place}{'' if port is None else f':{port}'}{path.rstrip('/')}"


def check_access(url: str, token: str) -> Access:
    """Ask the Label Studio at `url` its version, and who we are to it."""
    # Here, because its import takes a quarter of a second and 36 MB.
    from services.labeling.client import SdkStudio

    kind = tell_kind(token)
    version, user, problem = None, None, None
    try:
        studio = SdkStudio(url, token)
    except StudioError as error:
        return Access(None, None, kind, str(error))
    try:
        version = studio.version()
        if kind is TokenKind.ACCESS:
            problem = "this is an access token, which ends in minutes: use a personal access token"
        else:
            user = studio.whoami()
    except StudioError as error:
        problem = str(error)
    finally:
        studio.close()
    return Access(version, user, kind, problem)

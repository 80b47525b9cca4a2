"""Where an S3 server is and who we are there, read from one URL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from pipeline.addresses import hide_secrets
from pipeline.errors import UserError

DEFAULT_REGION = "us-east-1"
_PREFIX = re.compile(r"([a-z0-9][a-z0-9.-]*)?")
_REGION = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class S3Address:
    """`endpoint` is `host:port`; a bucket is named by `bucket_prefix` and a key's first segment."""

    endpoint: str
    user: str
    password: str = field(repr=False)
    secure: bool
    bucket_prefix: str = ""
    region: str = DEFAULT_REGION


def read_address(url: str) -> S3Address:
    """Reads `s3+http://user:password@host:port/prefix?region=…`; UserError where that is not so."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise UserError(f"the object store's address cannot be read: {error}") from None
    if not parts.hostname:
        raise _unusable(parts, "names no server")
    if not (parts.username and parts.password):
        raise _unusable(parts, "names no user or no password; see PIPELINE_STORE_PASSWORD_FILE")
    return S3Address(
        endpoint=parts.netloc.rpartition("@")[2],
        user=unquote(parts.username),
        password=unquote(parts.password),
        secure=parts.scheme == "s3+https",
        bucket_prefix=_read_prefix(parts),
        region=_read_region(parts),
    )


def _read_prefix(parts: SplitResult) -> str:
    prefix = parts.path.removeprefix("/")
    if _PREFIX.fullmatch(prefix) is None:
        raise _unusable(parts, "may end in a prefix of buckets' names, such as /lyon-, and no more")
    return prefix


def _read_region(parts: SplitResult) -> str:
    options = parse_qs(parts.query, keep_blank_values=True)
    region = options.pop("region", [DEFAULT_REGION])[-1]
    if options or _REGION.fullmatch(region) is None:
        raise _unusable(parts, "may have one option, ?region=")
    return region


def _unusable(parts: SplitResult, why: str) -> UserError:
    return UserError(f"the object store's address {hide_secrets(parts.geturl())} {why}")

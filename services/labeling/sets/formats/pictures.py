"""The images that lie in a package, and the names by which they may be ours."""

from __future__ import annotations

import base64
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from services.labeling.sets.formats.packages import Package

_ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
# What Label Studio puts before a name: of an upload, or of the hash of an address.
_PREFIX = re.compile(r"^[0-9a-f]{8}(__|-)")


def index_pictures(package: Package) -> Mapping[str, list[str]]:
    """Paths by their name without ending."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name in package.names:
        path = PurePosixPath(name)
        if path.suffix.lower() in _ENDINGS:
            found[path.stem].append(name)
    return found


def find_picture(pictures: Mapping[str, list[str]], stem: str) -> str | None:
    """The one image of that name; None where there is none, or several."""
    found = pictures.get(stem, [])
    return found[0] if len(found) == 1 else None


def guess_names(name: str) -> Iterator[str]:
    """What an image may be called here, from a file's name or an address: without folders and
    ending, percent-decoded, without Label Studio's prefixes."""
    stem = strip_ending(_last_part(name))
    for candidate in dict.fromkeys((stem, unquote(stem))):
        yield candidate
        while _PREFIX.match(candidate):
            candidate = _PREFIX.sub("", candidate, count=1)
            yield candidate


def strip_ending(name: str) -> str:
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in _ENDINGS else name


def _last_part(name: str) -> str:
    """Of an address, of a path, or of the address within Label Studio's `resolve`."""
    name = name.replace("\\", "/")
    try:
        parts = urlsplit(name)
        asked = parse_qs(parts.query)
    except ValueError:
        return name.rpartition("/")[2]
    if "fileuri" in asked:
        try:
            inner = base64.urlsafe_b64decode(asked["fileuri"][0] + "===").decode()
        except ValueError:  # not base64, or not UTF-8
            inner = ""
        return inner.rpartition("/")[2]
    if "d" in asked and "local-files" in parts.path:
        return asked["d"][0].rpartition("/")[2]
    return (parts.path if parts.scheme else name).rpartition("/")[2]

"""Which task's image a label file belongs to, by the names Label Studio gives to label files.

A name alone doesn't tell for certain: what fits several images is ambiguous, never guessed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard
from urllib.parse import parse_qs, unquote, urlsplit

from pipeline.labels import addresses
from pipeline.labels.addresses import CLOUD_SCHEMES

LONGEST_STEM = 251  # Label Studio cuts it there
MAX_TEXTS = 100  # looked at in one task's data

_PREFIX = re.compile(r"[0-9a-f]{8}(__|-)")
_HASHED = re.compile(r"[0-9a-f]{8}__")
_RESOLVED = re.compile(r"/tasks/\d+/(resolve|presign)/?")
_UPLOAD = re.compile(r"/data/upload/\d+/([0-9a-f]{8}-[^/]+)$")


@dataclass(frozen=True)
class TaskImage:
    """One image of one task. `address` is as in the task's data, or `s3://…` where that was a link
    to resolve one; `annotated` is False where nobody has said anything of it."""

    task: int
    address: str = field(repr=False)  # it may be presigned
    annotated: bool


@dataclass(frozen=True)
class Match:
    """Either an image, or why there is none."""

    image: TaskImage | None = None
    ambiguous: bool = False
    reason: str = ""


def find_images(task: Mapping[str, Any]) -> Iterator[TaskImage]:
    """The images in a task as the API lists it; what is no address is passed over."""
    data, number = task.get("data"), task.get("id")
    if not isinstance(data, Mapping) or not isinstance(number, int):
        return
    annotated = task.get("total_annotations") != 0
    fields = [data["image"]] if "image" in data else list(data.values())
    for text in _texts(fields):
        if is_address(text):
            yield TaskImage(number, _unresolve(text), annotated)


def is_address(text: str) -> bool:
    scheme = text.partition(":")[0].lower()
    if scheme in ("http", "https", *CLOUD_SCHEMES):
        return "://" in text
    return text.startswith(("/data/", "/tasks/", "/storage-data/")) or "/data/upload/" in text


def locate(image: TaskImage, studio_url: str) -> str:
    """The absolute address to download it from."""
    return addresses.locate(image.address, image.task, studio_url)


class TaskIndex:
    """The images of a project's tasks, by every name that their label files could have."""

    def __init__(self, images: Iterable[TaskImage], studio_url: str) -> None:
        self._certain: dict[str, dict[str, TaskImage]] = defaultdict(dict)
        self._likely: dict[str, dict[str, TaskImage]] = defaultdict(dict)
        self._uploads: set[str] = set()
        for image in images:
            self._add(image, studio_url)

    def match(self, stem: str, *, trust_names: bool = False) -> Match:
        """The image of the label file `stem`.txt. With `trust_names` a hash that belongs to no
        task's address is passed over, where the rest of the name fits one image alone."""
        name = canonical(stem)
        rest = _PREFIX.sub("", name, count=1)
        if found := self._certain.get(name):
            return _only(found)
        if _HASHED.match(name) and rest in self._uploads:  # a snapshot puts its own prefix before
            return _only(self._certain[rest])
        if found := self._likely.get(name):
            return _only(found)
        found = self._likely.get(rest, {})
        if rest == name or not found:
            return Match(reason="no task has an image of that name")
        if trust_names:
            return _only(found)
        tasks = ", ".join(str(image.task) for image in list(found.values())[:3])
        return Match(reason=f"its prefix fits no task; the rest of its name fits task {tasks}")

    def _add(self, image: TaskImage, studio_url: str) -> None:
        names = _names_of(image.address, studio_url)
        for table, stems in ((self._certain, names.certain), (self._likely, names.likely)):
            for stem in stems:
                _keep(table[canonical(stem)], image)
        self._uploads.update(canonical(stem) for stem in names.uploaded)


@dataclass(frozen=True)
class _Names:
    """Stems that only this address gives; that others may give too; of an upload, with its hash."""

    certain: Sequence[str]
    likely: Sequence[str]
    uploaded: Sequence[str] = ()


def canonical(stem: str) -> str:
    """Percent-decoded and composed, as zip programs and file systems disagree about both."""
    return unicodedata.normalize("NFC", unquote(stem))


def _keep(found: dict[str, TaskImage], image: TaskImage) -> None:
    """Several tasks with one address have one image: the annotated one speaks for it."""
    held = found.get(image.address)
    if held is None or (image.annotated and not held.annotated):
        found[image.address] = image


def _only(found: Mapping[str, TaskImage]) -> Match:
    if len(found) == 1:
        return Match(next(iter(found.values())))
    tasks = ", ".join(str(image.task) for image in list(found.values())[:5])
    return Match(ambiguous=True, reason=f"fits {len(found)} images, of tasks {tasks}")


def _names_of(address: str, studio_url: str) -> _Names:
    """As the converter of Label Studio 1.23 names them, in its get_local_path."""
    path = _path_of(address)
    if upload := _UPLOAD.search(path):
        stem = _stem(upload[1])[:LONGEST_STEM]
        return _Names([stem], [_PREFIX.sub("", stem, count=1)], [stem])
    if "/data/local-files" in path:
        stem = _stem(address.partition("?d=")[2])
        urls = (address, studio_url + address, f"{studio_url}/{address.lstrip('/')}")
        return _Names([f"{_hash(url)}__{stem}"[:LONGEST_STEM] for url in urls], [stem])
    stem = _stem(path)
    hashed = f"{_hash(address)}__{stem}"[:LONGEST_STEM]
    return _Names([hashed], [stem[:LONGEST_STEM], _stem(address)[:LONGEST_STEM]])


def _path_of(address: str) -> str:
    scheme = address.partition(":")[0].lower()
    if scheme in CLOUD_SCHEMES:
        return address
    try:
        return urlsplit(address).path
    except ValueError:
        return address


def _stem(path: str) -> str:
    """Without its ending; a name that begins with its only dot has none."""
    name = path.rsplit("/", 1)[-1]
    stem = name.rpartition(".")[0]
    return stem if stem.strip(".") else name


def _hash(url: str) -> str:
    return hashlib.md5(url.encode(), usedforsecurity=False).hexdigest()[:8]


def _unresolve(address: str) -> str:
    """What a link to resolve a cloud address leads to; other addresses as they are."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return address
    given = parse_qs(parts.query).get("fileuri", [""])[0]
    if _RESOLVED.search(parts.path) is None or not given:
        return address
    try:
        led_to = base64.urlsafe_b64decode(given + "=" * (-len(given) % 4)).decode()
    except (binascii.Error, ValueError):
        return address
    return led_to if led_to.startswith(tuple(f"{name}://" for name in CLOUD_SCHEMES)) else address


def _is_text(value: Any) -> TypeGuard[str]:
    """JSON can hold halves of characters, which nothing can write."""
    try:
        return isinstance(value, str) and bool(value.encode())
    except UnicodeEncodeError:
        return False


def _texts(fields: Iterable[Any]) -> Sequence[str]:
    found: list[str] = []
    for value in fields:
        values = value if isinstance(value, list) else [value]
        found += [text for text in values[:MAX_TEXTS] if _is_text(text)]
    return found[:MAX_TEXTS]

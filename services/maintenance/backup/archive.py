"""Every object but raw's as one tar, and back.

A member is an object, its name the key; content type and metadata are PAX headers, so any tar can
unpack it. The last member says how many there are: an archive without it was cut off.
"""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from io import BytesIO
from typing import IO

from pipeline import keys
from pipeline.errors import ObjectMissing, UserError
from pipeline.storage import JSON, ObjectStore, StoredObject

# raw/ is left out on purpose: an unblurred frame must not outlive its day in a backup.
# Tombstones come last, so that what is erased meanwhile is known to be.
BEFORE = (keys.SOURCES, "annotations/", "datasets/", "models/")
AFTER = (keys.TOMBSTONES,)
COUNTS = "counts.json"
# As extended attributes, which GNU tar and others know.
CONTENT_TYPE, METADATA = "SCHILY.xattr.user.content_type", "SCHILY.xattr.user.metadata"

Progress = Callable[[int, int], None]  # objects, bytes so far


def write_archive(store: ObjectStore, file: IO[bytes], progress: Progress) -> Mapping[str, int]:
    """How many objects of each bucket were written. `file` need not be seekable."""
    counts: Counter[str] = Counter()
    size = 0
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for key in _keys(store):
            with suppress(ObjectMissing):  # deleted since it was listed
                stored = store.get(key)
                _add(archive, key, stored)
                counts[_bucket(key)] += 1
                size += len(stored.data)
                progress(counts.total(), size)
        _add(archive, COUNTS, StoredObject(json.dumps(counts).encode(), JSON))
    return counts


def read_archive(store: ObjectStore, file: IO[bytes], progress: Progress) -> Mapping[str, int]:
    """Put every object back. UserError when the archive is damaged, cut off or not one of ours."""
    counts: Counter[str] = Counter()
    size = 0
    for name, stored in _members(file):
        if name == COUNTS:
            if json.loads(stored.data) != counts:
                raise UserError(f"the archive holds {dict(counts)}, and should {stored.data!r}")
            return counts
        store.put(name, stored)
        counts[_bucket(name)] += 1
        size += len(stored.data)
        progress(counts.total(), size)
    raise UserError("the archive was cut off")


def _keys(store: ObjectStore) -> Iterator[str]:
    for prefix in BEFORE:
        yield from (entry.key for entry in store.list(prefix))
    for entry in store.list(keys.DETECTIONS):  # image and mark together, the mark last
        image = keys.image_of(entry.key)
        if keys.is_image_id(image):
            yield keys.stored_image(image)
        yield entry.key
    for prefix in AFTER:
        yield from (entry.key for entry in store.list(prefix))


def _add(archive: tarfile.TarFile, name: str, stored: StoredObject) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(stored.data), 0o600
    member.pax_headers = {
        CONTENT_TYPE: stored.content_type,
        METADATA: json.dumps(dict(stored.metadata)),
    }
    archive.addfile(member, BytesIO(stored.data))


def _members(file: IO[bytes]) -> Iterator[tuple[str, StoredObject]]:
    try:
        with tarfile.open(fileobj=file, mode="r|") as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content is None or METADATA not in member.pax_headers:
                    raise UserError(f"{member.name} in the archive is no object of ours")
                data, about = content.read(), member.pax_headers
                yield (
                    member.name,
                    StoredObject(data, about[CONTENT_TYPE], json.loads(about[METADATA])),
                )
    except tarfile.TarError as error:
        raise UserError(f"the archive is damaged: {error}") from error


def _bucket(key: str) -> str:
    return key.partition("/")[0]

"""What every object store is: keys to bytes, each with a type and metadata."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+")
_NAME = re.compile(r"[a-z0-9-]+")
JSON = "application/json"


@dataclass(frozen=True)
class ObjectInfo:
    key: str
    size: int


@dataclass(frozen=True)
class StoredObject:
    """Metadata's names are `[a-z0-9-]`: S3 keeps them as HTTP headers, which have no case."""

    data: bytes
    content_type: str
    metadata: Mapping[str, str] = field(default_factory=dict)


class ObjectStore(Protocol):
    """Keys to bytes. A put is seen whole or not at all; put and delete may be repeated.

    Every method raises StorageError (try again later) when the store does not answer or is full,
    StorageDenied when it refuses this user, and ValueError for what is not a key.
    """

    def put(self, key: str, stored: StoredObject) -> None: ...

    def get(self, key: str) -> StoredObject:
        """ObjectMissing when there is none."""
        ...

    def exists(self, key: str) -> bool: ...

    def delete(self, key: str) -> None:
        """Deleting what is not there is no error."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """In the order of their keys' bytes."""
        ...

    def free_bytes(self) -> int | None:
        """Room left, where the store knows it."""
        ...

    def remove_leftovers(self) -> None:
        """What killed writers left half-written: no object, but bytes all the same."""
        ...


def put_json(store: ObjectStore, key: str, text: str) -> None:
    store.put(key, StoredObject(text.encode(), JSON))


def check_key(key: str) -> None:
    """ValueError for what would leave the store, or has no bucket."""
    if _KEY.fullmatch(key) is None:
        raise ValueError(f"not a key: {key!r}")


def check_metadata(metadata: Mapping[str, str]) -> None:
    """ValueError for a name that would not come back as it was put."""
    for name in metadata:
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"not a metadata name: {name!r}")

"""The object store on an S3 server, through the `minio` client."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from io import BytesIO
from typing import Any
from urllib.parse import quote, unquote

from minio import Minio, MinioAdmin
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException, S3Error
from minio.helpers import MIN_PART_SIZE

from pipeline.errors import ObjectMissing
from pipeline.storage.s3_address import S3Address
from pipeline.storage.s3_connections import StoreConnections, read_body
from pipeline.storage.s3_failures import explained
from pipeline.storage.store import ObjectInfo, StoredObject, check_key, check_metadata

ROOM_KNOWN_FOR_S = 10
_METADATA = "x-amz-meta-"
_RESERVED = 0.01  # MinIO keeps so much of each drive to itself


class S3Store:
    """A key's first segment is the bucket. Threads may share one; processes may not.

    Buckets and users are made by init; buckets have no versions, or what is deleted would stay.
    """

    def __init__(self, address: S3Address) -> None:
        self._address = address
        connections = StoreConnections()
        self._client = Minio(
            address.endpoint,
            access_key=address.user,
            secret_key=address.password,
            secure=address.secure,
            region=address.region,  # or it would ask for each bucket's, which few users may
            http_client=connections,
        )
        self._admin = MinioAdmin(
            endpoint=address.endpoint,
            credentials=StaticProvider(address.user, address.password),
            region=address.region,
            secure=address.secure,
            http_client=connections,
        )
        self._room: tuple[float, int | None] = (0, None)  # until when, and how much

    def put(self, key: str, stored: StoredObject) -> None:
        """In one request, whatever its size: it is there whole, or not."""
        bucket, name = self._locate(key)
        check_metadata(stored.metadata)
        with self._explained("store", key):
            self._client.put_object(
                bucket,
                name,
                BytesIO(stored.data),
                len(stored.data),
                content_type=stored.content_type,
                metadata={
                    _METADATA + name: quote(value) for name, value in stored.metadata.items()
                },
                part_size=max(MIN_PART_SIZE, len(stored.data)),
            )

    def get(self, key: str) -> StoredObject:
        bucket, name = self._locate(key)
        with self._explained("read", key):
            response = self._client.get_object(bucket, name)
            data, headers = read_body(response), response.headers
        metadata = {
            one.lower().removeprefix(_METADATA): unquote(text)
            for one, text in headers.items()
            if one.lower().startswith(_METADATA)
        }
        return StoredObject(data, headers.get("content-type", ""), metadata)

    def exists(self, key: str) -> bool:
        """By its first byte: HEAD's answer cannot say whether the key or the bucket is missing."""
        bucket, name = self._locate(key)
        try:
            with self._explained("look for", key):
                return self._has_first_byte(bucket, name)
        except ObjectMissing:
            return False

    def delete(self, key: str) -> None:
        bucket, name = self._locate(key)
        with suppress(ObjectMissing), self._explained("delete", key):
            self._client.remove_object(bucket, name)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        bucket, slash, below = prefix.partition("/")
        with self._explained("list", prefix or "all"):
            for segment in [bucket] if slash else self._find_buckets(bucket):
                found = self._client.list_objects(
                    self._address.bucket_prefix + segment, prefix=below, recursive=True
                )
                for entry in found:
                    yield ObjectInfo(f"{segment}/{entry.object_name}", entry.size or 0)

    def free_bytes(self) -> int | None:
        """As MinIO's administrators see it; None when this user is not one, or it is another S3."""
        until, room = self._room
        if time.monotonic() >= until:
            with self._explained("look at", "the room left"):
                room = self._ask_room()
            self._room = (time.monotonic() + ROOM_KNOWN_FOR_S, room)
        return room

    def remove_leftovers(self) -> None:
        """None: a put is one request, and what a broken one left is the server's to remove."""

    def _locate(self, key: str) -> tuple[str, str]:
        check_key(key)
        segment, _, name = key.partition("/")
        return self._address.bucket_prefix + segment, name

    def _explained(self, doing: str, key: str) -> AbstractContextManager[None]:
        return explained(doing, key, self._address.endpoint)

    def _has_first_byte(self, bucket: str, name: str) -> bool:
        try:
            read_body(self._client.get_object(bucket, name, length=1))
        except S3Error as error:
            if error.code != "InvalidRange":  # it is there, and empty
                raise
        return True

    def _find_buckets(self, start: str) -> Sequence[str]:
        """The first segments that begin so, in the order of the keys below them."""
        prefix = self._address.bucket_prefix
        names = [bucket.name for bucket in self._client.list_buckets()]
        segments = [name.removeprefix(prefix) for name in names if name.startswith(prefix + start)]
        return sorted(segments, key=lambda segment: f"{segment}/")

    def _ask_room(self) -> int | None:
        try:
            return _count_room(json.loads(self._admin.info()))
        except (MinioAdminException, LookupError, TypeError, ValueError):
            return None


def _count_room(info: dict[str, Any]) -> int | None:
    """What may still be written, from MinIO's account of its drives: a share of them is parity."""
    drives = [drive for server in info["servers"] for drive in server.get("drives") or []]
    in_set = info["backend"]["totalDrivesPerSet"][0]
    share = (in_set - info["backend"]["standardSCParity"]) / in_set
    online = [one for one in drives if "totalspace" in one]
    room = sum(
        # Go leaves a zero out: a drive without it is full to the last byte.
        max(0, one.get("availspace", 0) - one["totalspace"] * _RESERVED)
        for one in online
    )
    return int(room * share) if online else None

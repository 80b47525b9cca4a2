"""Buckets on a test's S3 server, as init makes them."""

from __future__ import annotations

import secrets

from minio import Minio

from pipeline.storage.s3_address import read_address

SEGMENTS = (
    *("sources", "raw", "images", "detections", "tombstones"),
    *("annotations", "datasets", "models"),
)


def make_buckets(url: str) -> str:
    """Their address: the administrator's, `url`, with a prefix of its own."""
    prefix = f"t{secrets.token_hex(4)}-"
    client = open_client(url)
    for segment in SEGMENTS:
        client.make_bucket(prefix + segment)
    return f"{url}/{prefix}"


def open_client(url: str) -> Minio:
    to = read_address(url)
    return Minio(to.endpoint, to.user, to.password, secure=to.secure, region=to.region)

"""The object store: one protocol, and its adapters: a folder, and S3. Keys are made in keys.py."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pipeline.addresses import hide_secrets
from pipeline.errors import UserError
from pipeline.storage.folder import FolderStore
from pipeline.storage.store import JSON, ObjectInfo, ObjectStore, StoredObject, put_json

__all__ = [
    "JSON",
    "FolderStore",
    "ObjectInfo",
    "ObjectStore",
    "StoredObject",
    "open_store",
    "put_json",
]


def open_store(url: str) -> ObjectStore:
    """`file:///…` opens a folder, `s3+http://` and `s3+https://` a server. UserError for any other.

    A server is not asked anything yet: it may still be starting.
    """
    scheme = url.partition(":")[0].lower()
    if scheme == "file":
        return FolderStore(Path(url2pathname(urlsplit(url).path)))
    if scheme in {"s3+http", "s3+https"}:
        return _open_s3(url)
    known = "file://, s3+http:// or s3+https://"
    raise UserError(f"no object store for {hide_secrets(url)}: it starts with {known}")


def _open_s3(url: str) -> ObjectStore:
    """Imported here: the client takes 0.4 s to load, and embedded nobody needs it."""
    try:
        from pipeline.storage.s3 import S3Store
        from pipeline.storage.s3_address import read_address
    except ModuleNotFoundError as error:
        raise UserError(
            f"an object store on S3 needs {error.name}: pip install 'traboule[composed]'"
        ) from error
    return S3Store(read_address(url))

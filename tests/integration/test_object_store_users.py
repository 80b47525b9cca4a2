"""What a user of MinIO needs to be allowed, for each thing that is asked of a store."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

import pytest
from minio import MinioAdmin
from minio.credentials.providers import StaticProvider

from pipeline.errors import StorageDenied
from pipeline.storage import JSON, ObjectStore, StoredObject, open_store
from tests.buckets import make_buckets
from tests.servers import Server

pytestmark = pytest.mark.integration

KEY = "raw/frames/a"
STORED = StoredObject(b"{}", JSON)
NEEDED: dict[str, tuple[list[str], Callable[[ObjectStore], object]]] = {
    "put": (["s3:PutObject"], lambda store: store.put(KEY, STORED)),
    "get": (["s3:GetObject"], lambda store: store.get(KEY)),
    "exists": (["s3:GetObject"], lambda store: store.exists("raw/frames/none")),
    "delete": (["s3:DeleteObject"], lambda store: store.delete(KEY)),
    "list": (["s3:ListBucket"], lambda store: list(store.list("raw/"))),
}


@pytest.fixture
def url(minio_server: Server) -> str:
    made = make_buckets(minio_server.url)
    open_store(made).put(KEY, STORED)
    return made


def test_user_may_do_what_its_policy_says_and_no_more(minio_server: Server, url: str) -> None:
    for name, (actions, _) in NEEDED.items():
        store = open_as_user(minio_server, url, actions)
        for other, (needed, ask) in NEEDED.items():
            if needed == actions:
                ask(store)
            else:
                with pytest.raises(StorageDenied, match="may not"):
                    ask(store)
                    pytest.fail(f"{other} with the rights to {name}")


def test_room_left_is_told_to_who_may_see_the_servers_info(minio_server: Server, url: str) -> None:
    assert open_as_user(minio_server, url, ["s3:PutObject"]).free_bytes() is None
    room = open_as_user(minio_server, url, ["s3:PutObject"], "admin:ServerInfo").free_bytes()
    assert room is not None
    assert room > 0


def open_as_user(server: Server, url: str, actions: Sequence[str], *admin: str) -> ObjectStore:
    """The store as a user sees it who may do `actions` in the bucket raw alone."""
    place = "/" + url.rpartition("/")[2]
    user, password = f"u{secrets.token_hex(4)}", secrets.token_hex(16)
    bucket = f"arn:aws:s3:::{place[1:]}raw"
    resources = [bucket, f"{bucket}/*"]
    statements: list[dict[str, object]] = [
        {"Effect": "Allow", "Action": list(actions), "Resource": resources}
    ]
    if admin:
        statements.append({"Effect": "Allow", "Action": list(admin)})
    policy = {"Version": "2012-10-17", "Statement": statements}
    administrator = MinioAdmin(
        endpoint=f"{server.host}:{server.port}",
        credentials=StaticProvider(server.user, server.password),
        secure=False,
    )
    administrator.user_add(user, password)
    administrator.policy_add(user, policy=policy)
    administrator.attach_policy([user], user=user)
    return open_store(server.url_of(user, password, place))

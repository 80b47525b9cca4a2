"""The object store's server: its buckets, and raw's rule. Its users: store_users.py."""

from __future__ import annotations

from minio import Minio
from minio.commonconfig import ENABLED, Filter
from minio.error import S3Error
from minio.lifecycleconfig import Expiration, LifecycleConfig, Rule

from infra.init.addresses import log_in_as, place_of, user_of
from infra.init.passwords import STORE_OWNER
from infra.init.report import Report
from infra.init.rights import BUCKETS, RAW, RAW_EXPIRES_DAYS
from infra.init.secrets_folder import SecretsFolder
from infra.init.waiting import Login, Patience, Server
from pipeline.errors import StorageDenied, StorageError
from pipeline.storage.s3_address import S3Address, read_address
from pipeline.storage.s3_connections import StoreConnections
from pipeline.storage.s3_failures import explained

_UNKNOWN = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch"})
_NOT_ALLOWED = frozenset({"AccessDenied", "NotImplemented", "MethodNotAllowed"})
_RULE = "raw-backstop"


def log_in_to_store(url: str, folder: SecretsFolder, patience: Patience) -> Login[S3Address]:
    """The owner's address, with the password that works now."""
    server = Server(
        name="object store",
        where=place_of(url),
        connect=lambda password: connect(read_address(log_in_as(url, user_of(url), password))),
        advice=f"restart it: it reads {folder.root / STORE_OWNER} when it starts",
    )
    return patience.log_in(server, lambda: folder.candidates(STORE_OWNER))


def connect(address: S3Address) -> S3Address | None:
    """None when the store does not know the user by that password."""
    try:
        with explained("list", "buckets", address.endpoint):
            open_client(address).list_buckets()  # anybody may ask, if only to hear a no
    except StorageDenied as error:
        return None if _code_of(error) in _UNKNOWN else address
    return address


def open_client(address: S3Address) -> Minio:
    return Minio(
        address.endpoint,
        access_key=address.user,
        secret_key=address.password,
        secure=address.secure,
        region=address.region,
        http_client=StoreConnections(),
    )


def make_buckets(owner: S3Address, report: Report) -> None:
    """Each bucket that is missing, and raw's rule."""
    client = open_client(owner)
    for name in (f"{owner.bucket_prefix}{bucket}" for bucket in BUCKETS):
        with explained("make", name, owner.endpoint):
            if not client.bucket_exists(name):
                client.make_bucket(name, location=owner.region)
                report.did(f"object store: bucket {name} made")
    _limit_raw(client, owner, report)


def _limit_raw(client: Minio, owner: S3Address, report: Report) -> None:
    """Raw frames go by themselves, should maintenance not see to it."""
    name, days = f"{owner.bucket_prefix}{RAW}", RAW_EXPIRES_DAYS
    try:
        with explained("limit", name, owner.endpoint):
            if _days_of(client, name) != days:
                client.set_bucket_lifecycle(name, _expire_after(days))
                report.did(f"object store: what lies in {name} expires after {days} days")
    except StorageError as error:
        if _code_of(error) not in _NOT_ALLOWED:
            raise
        report.say(
            f"object store: init may not say how long {name} keeps its objects; say there: {days} "
            "days"
        )


def _days_of(client: Minio, bucket: str) -> int | None:
    found = client.get_bucket_lifecycle(bucket)
    rules = [] if found is None else found.rules
    days = [rule.expiration.days for rule in rules if rule.expiration and rule.status == ENABLED]
    return days[0] if len(rules) == 1 and days else None


def _expire_after(days: int) -> LifecycleConfig:
    everything = Filter(prefix="")
    rule = Rule(ENABLED, everything, _RULE, expiration=Expiration(days=days))
    return LifecycleConfig([rule])


def _code_of(error: StorageError) -> str:
    return error.__cause__.code or "" if isinstance(error.__cause__, S3Error) else ""

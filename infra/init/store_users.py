"""MinIO's users: one per service, with the password it is to know and a policy by the table."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace

from minio import MinioAdmin
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException

from infra.init.object_store import connect
from infra.init.passwords import STORE_OWNER
from infra.init.policies import is_same, make_policy
from infra.init.report import Report
from infra.init.rights import RIGHTS
from infra.init.secrets_folder import SecretsFolder
from infra.init.waiting import Login
from pipeline.errors import StorageError, UserError
from pipeline.storage.s3_address import S3Address
from pipeline.storage.s3_connections import StoreConnections
from pipeline.storage.s3_failures import explained

_LOOK_EVERY_S = 0.2
_RESTARTED_WITHIN_S = 60.0


def make_store_users(owner: S3Address, passwords: Mapping[str, str], report: Report) -> None:
    """`passwords` is by service."""
    admin = _open_admin(owner)
    with _explained_administration(owner):
        policies = json.loads(admin.policy_list()) or {}
        users = json.loads(admin.user_list()) or {}
        for service, rights in RIGHTS.items():
            policy = make_policy(rights, lambda bucket: f"{owner.bucket_prefix}{bucket}")
            if service not in policies or not is_same(policies[service], policy):
                admin.policy_add(service, policy=dict(policy))
                report.did(f"object store: rights of {service} set")
            if not _is_known(owner, service, passwords[service]):
                admin.user_add(service, passwords[service])
                done = "password of {} changed" if service in users else "user {} made"
                report.did(f"object store: {done.format(service)}")
            if users.get(service, {}).get("policyName") != service:
                admin.policy_set(service, user=service)  # in place of any other
                report.did(f"object store: {service} has these rights, and no other")


def take_up_owner(login: Login[S3Address], folder: SecretsFolder, report: Report) -> None:
    """Have the store read its owner's password again, if that is another than it goes by."""
    password = folder.get(STORE_OWNER)
    if login.password != password:
        with suppress(StorageError), _explained_administration(login.session):
            _open_admin(login.session).service_restart()
        _wait_until_known(replace(login.session, password=password), folder)
        report.did("object store: started again, with its owner's new password")
    folder.forget_old(STORE_OWNER)


def _wait_until_known(owner: S3Address, folder: SecretsFolder) -> None:
    ends_at = time.monotonic() + _RESTARTED_WITHIN_S
    while True:
        try:
            if connect(owner) is not None:
                return
            problem = "it does not know its owner's new password"
        except StorageError as error:
            problem = str(error)
        if time.monotonic() > ends_at:
            raise UserError(
                f"the object store at {owner.endpoint} was told to start again, and {problem}; "
                f"let its MINIO_ROOT_PASSWORD_FILE be {folder.root / STORE_OWNER}, and restart it"
            )
        time.sleep(_LOOK_EVERY_S)


def _is_known(owner: S3Address, service: str, password: str) -> bool:
    return connect(replace(owner, user=service, password=password)) is not None


def _open_admin(owner: S3Address) -> MinioAdmin:
    return MinioAdmin(
        endpoint=owner.endpoint,
        credentials=StaticProvider(owner.user, owner.password),
        region=owner.region,
        secure=owner.secure,
        http_client=StoreConnections(),
    )


@contextmanager
def _explained_administration(owner: S3Address) -> Iterator[None]:
    try:
        with explained("change", "users", owner.endpoint):
            yield
    except MinioAdminException as error:
        raise UserError(
            f"the object store at {owner.endpoint} does not let init make users "
            f"({_code_of(error)}); where they are made elsewhere, say so: "
            "INIT_MANAGE_OBJECT_STORE_USERS=false"
        ) from error


def _code_of(error: MinioAdminException) -> str:
    """MinIO's word for it: another server's answer may be pages long."""
    found = re.search(r'"Code": ?"(\w+)"|Status: (\d+)', str(error))
    return (found[1] or found[2]) if found else "no reason given"

"""The passwords there are: one per service, and those of the servers' owners. All made at random.

<service>/password         its own on broker, object store and catalog alike
broker/users.acl           Redis's users: hashes and rights, no password; see broker.py
broker/health_password     the health check's
object-store/root_password the store's owner
catalog/password           the catalog's owner
init/broker_password       init's own on the broker
"""

from __future__ import annotations

import secrets

from infra.init.report import Report
from infra.init.rights import RIGHTS
from infra.init.secrets_folder import NEW, SecretsFolder

STORE_OWNER = "object-store/root_password"
CATALOG_OWNER = "catalog/password"
BROKER_OWNER = "init/broker_password"
BROKER_HEALTH = "broker/health_password"


def password_of(service: str) -> str:
    return f"{service}/password"


PASSWORDS = (
    *(password_of(service) for service in RIGHTS),
    BROKER_HEALTH,
    STORE_OWNER,
    CATALOG_OWNER,
    BROKER_OWNER,
)


def make_missing(folder: SecretsFolder, report: Report) -> None:
    """What is there stays: servers know it."""
    folder.mend()
    for name in PASSWORDS:
        if folder.read(name) is None:
            folder.write(name, make_password())
            report.did(f"secrets: {name} made")


def stage_new(folder: SecretsFolder, names: tuple[str, ...], report: Report) -> None:
    """A new password beside each; no server knows it yet."""
    for name in names:
        folder.write(f"{name}{NEW}", make_password())
    report.did(f"secrets: {len(names)} new passwords made")


def promote_all(folder: SecretsFolder, report: Report) -> None:
    """The new passwords, which every server knows by now, take their places."""
    for name in PASSWORDS:
        # The object store goes on with its former one until it has read the file again.
        if folder.promote(name, keep_old=name == STORE_OWNER):
            report.did(f"secrets: {name} changed")


def make_password() -> str:
    """240 bits, in characters that need no escaping anywhere."""
    return secrets.token_urlsafe(30)

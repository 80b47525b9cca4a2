"""The passwords there are: one per service, and those of the servers' owners. All made at random.

<service>/password         its own on broker, object store and catalog alike
broker/users.acl           Redis's users: hashes and rights, no password; see broker.py
broker/health_password     the health check's
object-store/root_password the store's owner
catalog/password           the catalog's owner
init/broker_password       init's own on the broker
label-studio/…             admin_password and token: its administrator's; secret_key: it signs by it
labeling/…                 webhook_secret, backend_password: what Label Studio is to say to it;
                           label_studio_…: copies of what it must know of Label Studio's
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
LABEL_STUDIO = "label-studio"
LABEL_STUDIO_PASSWORD = "label-studio/admin_password"
LABEL_STUDIO_TOKEN = "label-studio/token"  # 40 characters at most


def password_of(service: str) -> str:
    return f"{service}/password"


PASSWORDS = (
    *(password_of(service) for service in RIGHTS),
    BROKER_HEALTH,
    STORE_OWNER,
    CATALOG_OWNER,
    BROKER_OWNER,
    LABEL_STUDIO_PASSWORD,
    LABEL_STUDIO_TOKEN,
    "label-studio/secret_key",
    "labeling/webhook_secret",
    "labeling/backend_password",
)
# A folder is mounted by one consumer alone: what a second one needs lies in its own as well.
COPIES = {
    "labeling/label_studio_password": password_of(LABEL_STUDIO),  # for the storage it sets up there
    "labeling/label_studio_token": LABEL_STUDIO_TOKEN,
    "ml-backend/backend_password": "labeling/backend_password",  # what it is to be asked with
}


def make_missing(folder: SecretsFolder, report: Report) -> None:
    """What is there stays: servers know it."""
    folder.mend()
    for name in PASSWORDS:
        if folder.read(name) is None:
            folder.write(name, make_password())
            report.did(f"secrets: {name} made")
    copy_shared(folder, report)


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
    copy_shared(folder, report)


def copy_shared(folder: SecretsFolder, report: Report) -> None:
    """Swarm mounts a secret for as many as need it, and no copies."""
    for copy, original in COPIES.items():
        secret = folder.get(original)
        if folder.is_ours(copy) and folder.read(copy) != secret:
            folder.write(copy, secret)
            report.did(f"secrets: {copy} written")


def make_password() -> str:
    """240 bits, in characters that need no escaping anywhere."""
    return secrets.token_urlsafe(30)

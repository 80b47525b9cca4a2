"""Init's commands. Each may be run at any time, and killed at any point: the next one goes on."""

from __future__ import annotations

from collections.abc import Callable

from infra.init.broker import load_users, log_in_to_broker, write_users
from infra.init.catalog import log_in_to_catalog, set_up_catalog
from infra.init.label_studio import set_up_label_studio
from infra.init.object_store import log_in_to_store, make_buckets
from infra.init.passwords import (
    PASSWORDS,
    STORE_OWNER,
    make_missing,
    password_of,
    promote_all,
    stage_new,
)
from infra.init.report import Report
from infra.init.rights import RIGHTS
from infra.init.secrets_folder import SecretsFolder
from infra.init.settings import InitSettings
from infra.init.store_users import make_store_users, take_up_owner
from infra.init.waiting import Patience


def make_secrets(settings: InitSettings, report: Report) -> None:
    """What the servers need to start."""
    folder = SecretsFolder(settings.secrets_dir, settings.secrets_gid)
    with folder.locked():
        make_missing(folder, report)
        write_users(folder, report)


def set_up_servers(settings: InitSettings, report: Report) -> None:
    """Schema, roles, users, rights, buckets: what is missing or differs, and nothing else."""
    make_secrets(settings, report)
    folder = SecretsFolder(settings.secrets_dir, settings.secrets_gid)
    with folder.locked():
        _set_up(settings, folder, report)


def rotate(settings: InitSettings, report: Report) -> None:
    """Every password anew, everywhere. First all is brought in order: a server that is down, or a
    rotation cut off before, is met while nothing is changed yet."""
    set_up_servers(settings, report)
    folder = SecretsFolder(settings.secrets_dir, settings.secrets_gid)
    with folder.locked():
        names = tuple(
            name for name in PASSWORDS if settings.manage_object_store_users or name != STORE_OWNER
        )
        stage_new(folder, names, report)
        _set_up(settings, folder, report)


def _set_up(settings: InitSettings, folder: SecretsFolder, report: Report) -> None:
    """New passwords that wait are made known to every server, and then take their places."""
    patience = Patience(settings.wait_s, report)
    write_users(folder, report)
    log_in_to_broker(settings.broker_url, folder, patience).session.close()
    store = log_in_to_store(settings.store_url, folder, patience)
    catalog = log_in_to_catalog(settings.catalog_url, folder, patience)
    passwords = {service: folder.coming(password_of(service)) for service in RIGHTS}
    load_users(settings.broker_url, folder, patience, report)
    make_buckets(store.session, report)
    if settings.manage_object_store_users:
        make_store_users(store.session, passwords, report)
    else:
        report.say("object store: its users are made elsewhere, and not looked at")
    set_up_catalog(settings.catalog_url, catalog, passwords, folder, report)
    set_up_label_studio(settings.catalog_url, folder, report)
    promote_all(folder, report)
    if settings.manage_object_store_users:
        take_up_owner(store, folder, report)
    write_users(folder, report)
    load_users(settings.broker_url, folder, patience, report)


COMMANDS: dict[str, tuple[Callable[[InitSettings, Report], None], str]] = {
    "secrets": (make_secrets, "make the passwords that are missing; servers need them to start"),
    "servers": (set_up_servers, "schema, users, rights and buckets; ends a rotation cut off"),
    "rotate": (rotate, "change every password, everywhere; services start again after it"),
}

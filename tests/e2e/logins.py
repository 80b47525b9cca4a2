"""Who is let in where: every user of every server of a stack, tried by the passwords given."""

from __future__ import annotations

from contextlib import closing
from typing import Any
from urllib.parse import quote

import psycopg
from redis import Redis
from redis.exceptions import AuthenticationError

from infra.init.grants import ROLES
from infra.init.label_studio import DATABASE
from infra.init.passwords import LABEL_STUDIO
from infra.init.rights import RIGHTS
from pipeline.errors import ObjectMissing, StorageDenied
from pipeline.routes import SENDERS
from pipeline.storage import open_store
from tests.e2e.label_studio import LabelStudio
from tests.e2e.stack import Stack

UNKNOWN = {"InvalidAccessKeyId", "SignatureDoesNotMatch"}


def let_in(stack: Stack, secrets: dict[str, str]) -> set[tuple[str, str]]:
    return {user for user, islet_in in try_all(stack, secrets).items() if islet_in}


def try_all(stack: Stack, secrets: dict[str, str]) -> dict[tuple[str, str], bool]:
    """Whether each user of each server is let in by these passwords."""
    users = {service: secrets[f"{service}/password"] for service in RIGHTS}
    tries: dict[tuple[str, str], bool] = {}
    for user, password in users.items():
        if user in SENDERS:
            tries["broker", user] = _on_broker(stack, user, password)
        tries["object store", user] = _on_store(stack, user, password)
        if user in ROLES:
            tries["catalog", user] = _on_catalog(stack, user, password)
    own = users[LABEL_STUDIO]
    tries["catalog", LABEL_STUDIO] = _on_catalog(stack, LABEL_STUDIO, own, DATABASE)
    studio = LabelStudio(stack)
    tries["Label Studio", "token"] = studio.lets_in(secrets["label-studio/token"])
    by_password = studio.sign_in(secrets["label-studio/admin_password"])
    tries["Label Studio", "password"] = by_password is not None
    tries["broker", "init"] = _on_broker(stack, "init", secrets["init/broker_password"])
    tries["broker", "health"] = _on_broker(stack, "health", secrets["broker/health_password"])
    owner = secrets["object-store/root_password"]
    tries["object store", "traboule"] = _on_store(stack, "traboule", owner)
    tries["catalog", "traboule"] = _on_catalog(stack, "traboule", secrets["catalog/password"])
    return tries


def _on_broker(stack: Stack, user: str, password: str) -> bool:
    redis: Any = Redis(host=stack.address("broker"), username=user, password=password)
    with closing(redis):
        try:
            return bool(redis.ping())
        except AuthenticationError:
            return False


def _on_store(stack: Stack, user: str, password: str) -> bool:
    """Asks for a key that nobody has: whoever may not see that is known all the same."""
    place = f"{stack.address('object-store')}:9000"
    try:
        open_store(f"s3+http://{user}:{quote(password)}@{place}").get("sources/none")
    except ObjectMissing:
        return True
    except StorageDenied as error:
        return getattr(error.__cause__, "code", None) not in UNKNOWN
    raise AssertionError("sources/none is there")


def _on_catalog(stack: Stack, user: str, password: str, database: str = "traboule") -> bool:
    place = f"{stack.address('catalog')}:5432/{database}"
    try:
        psycopg.connect(f"postgresql://{user}:{quote(password)}@{place}").close()
    except psycopg.OperationalError as error:
        assert "password authentication failed" in str(error)
        return False
    return True

"""The broker's server: Redis's users, in a file of hashes and rights that it reads itself."""

from __future__ import annotations

import hashlib
from contextlib import closing

from redis import Redis
from redis.exceptions import AuthenticationError, RedisError

from infra.init.addresses import place_of
from infra.init.passwords import BROKER_HEALTH, BROKER_OWNER, password_of
from infra.init.report import Report
from infra.init.rights import RIGHTS
from infra.init.secrets_folder import SecretsFolder
from infra.init.waiting import Login, Patience, Server
from pipeline.broker import acl_rules
from pipeline.errors import BrokerError, UserError
from pipeline.routes import SENDERS

USERS_FILE = "broker/users.acl"
INIT_RULES = "-@all +acl|load +acl|list +ping +info"
HEALTH_RULES = "-@all +ping"
_ANSWER_WITHIN_S = 5


def write_users(folder: SecretsFolder, report: Report) -> None:
    """The file that the broker reads when it starts, and when it is told to."""
    text = make_users(folder)
    if folder.is_ours(USERS_FILE) and folder.read(USERS_FILE) != text.strip():
        folder.write(USERS_FILE, text)
        report.did(f"secrets: {USERS_FILE} written")


def make_users(folder: SecretsFolder) -> str:
    """While a password changes, its user has the old and the new one."""
    users = {
        "init": (BROKER_OWNER, INIT_RULES),
        "health": (BROKER_HEALTH, HEALTH_RULES),
        **{service: (password_of(service), acl_rules(service)) for service in _talkative()},
    }
    lines = ["user default off"]
    for user, (name, rules) in users.items():
        hashes = " ".join(f"#{_hash(password)}" for password in folder.candidates(name))
        lines.append(f"user {user} on {hashes} {rules}")
    return "\n".join(lines) + "\n"


def log_in_to_broker(url: str, folder: SecretsFolder, patience: Patience) -> Login[Redis]:
    server = Server(
        name="broker",
        where=place_of(url),
        connect=lambda password: _connect(url, password),
        advice=f"restart it: it reads {folder.root / USERS_FILE} when it starts",
    )
    return patience.log_in(server, lambda: folder.candidates(BROKER_OWNER))


def load_users(url: str, folder: SecretsFolder, patience: Patience, report: Report) -> None:
    """Have the file read again; who is changed by it is cut off, init as well."""
    before = _list_users(log_in_to_broker(url, folder, patience).session, load=True)
    if _list_users(log_in_to_broker(url, folder, patience).session) != before:
        report.did("broker: users changed")


def _list_users(redis: Redis, *, load: bool = False) -> list[str]:
    """As they are; `load` has the file read afterwards."""
    try:
        with closing(redis):
            users = [str(user) for user in redis.acl_list()]
            if load:
                redis.acl_load()
            return users
    except RedisError as error:
        raise UserError(f"the broker does not take {USERS_FILE}: {error}") from error


def _talkative() -> list[str]:
    """Who neither sends nor takes anything is no user there."""
    return [service for service in RIGHTS if service in SENDERS]


def _connect(url: str, password: str) -> Redis | None:
    redis = Redis.from_url(
        url,
        password=password,
        decode_responses=True,
        socket_timeout=_ANSWER_WITHIN_S,
        socket_connect_timeout=_ANSWER_WITHIN_S,
    )
    try:
        redis.ping()
    except AuthenticationError:
        return None
    except RedisError as error:
        raise BrokerError(str(error)) from error
    return redis


def _hash(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()

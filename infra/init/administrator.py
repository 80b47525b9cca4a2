"""Label Studio's administrator, in Label Studio's own tables (of 1.23.2): he knows the password and
the token that the folder of secrets holds. Label Studio takes them at its first start alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from infra.init.grants import Connection
from infra.init.passwords import LABEL_STUDIO_PASSWORD, LABEL_STUDIO_TOKEN
from infra.init.report import Report
from infra.init.secrets_folder import SecretsFolder

EMAIL = "traboule@localhost"  # as in docker-compose.yml
_ALGORITHM = "pbkdf2_sha256"  # Django's, as 5.2 has it
_ITERATIONS = 1_000_000

_HAS_STARTED = "SELECT to_regclass('htx_user'), to_regclass('authtoken_token')"
_READ = """
    SELECT htx_user.id, htx_user.password, authtoken_token.key FROM htx_user
    LEFT JOIN authtoken_token ON authtoken_token.user_id = htx_user.id WHERE email = %s
"""
_SET_PASSWORD = "UPDATE htx_user SET password = %s WHERE id = %s"
_END_TOKEN = "DELETE FROM authtoken_token WHERE user_id = %s"
_ADD_TOKEN = "INSERT INTO authtoken_token (key, created, user_id) VALUES (%s, now(), %s)"


def set_administrator(connection: Connection, folder: SecretsFolder, report: Report) -> None:
    """Nothing to do before Label Studio's first start."""
    if None in (connection.execute(_HAS_STARTED).fetchone() or ()):
        return
    row = connection.execute(_READ, (EMAIL,)).fetchone()
    if row is None:
        return
    user, hashed, token = row
    password, wanted = folder.coming(LABEL_STUDIO_PASSWORD), folder.coming(LABEL_STUDIO_TOKEN)
    if not is_hash_of(password, hashed):
        connection.execute(_SET_PASSWORD, (hash_password(password), user))
        report.did("Label Studio: password of its administrator changed")
    if token != wanted:
        with connection.transaction():
            connection.execute(_END_TOKEN, (user,))
            connection.execute(_ADD_TOKEN, (wanted, user))
        report.did("Label Studio: token of its administrator changed")


def hash_password(password: str) -> str:
    """As Django keeps it."""
    return _hash(password, secrets.token_hex(16), _ITERATIONS)


def is_hash_of(password: str, hashed: str) -> bool:
    """False for a hash of a kind that we do not make."""
    parts = hashed.split("$")
    if len(parts) != 4 or parts[0] != _ALGORITHM or not parts[1].isdecimal():
        return False
    return hmac.compare_digest(_hash(password, parts[2], int(parts[1])), hashed)


def _hash(password: str, salt: str, iterations: int) -> str:
    derived = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), iterations)
    return f"{_ALGORITHM}${iterations}${salt}${base64.b64encode(derived).decode()}"

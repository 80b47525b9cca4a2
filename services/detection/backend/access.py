"""Who may ask: whoever has the user and the password, by basic authentication."""

from __future__ import annotations

import base64
import binascii
import hmac

from pipeline.errors import UserError
from pipeline.logs import get_logger
from pipeline.settings import read_password
from services.detection.backend.settings import BackendSettings

log = get_logger(__name__)


def is_known(header: str, settings: BackendSettings) -> bool:
    """Whether an Authorization header is right, compared in constant time."""
    if settings.password_file is None:
        log.warning("nobody is let in", reason="DETECTION_BACKEND_PASSWORD_FILE names no file")
        return False
    try:
        password = read_password("DETECTION_BACKEND_PASSWORD_FILE", settings.password_file)
    except UserError as error:  # a person may mend it while we run
        log.warning("nobody is let in", reason=str(error))
        return False
    return hmac.compare_digest(_decode(header), f"{settings.user}:{password}".encode())


def _decode(header: str) -> bytes:
    """`user:password`; empty where the header is none of basic authentication."""
    scheme, _, given = header.partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(given.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""

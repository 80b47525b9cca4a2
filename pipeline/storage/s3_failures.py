"""What an S3 server refuses, and what comes between: told as our errors, with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree.ElementTree import ParseError

from minio.error import MinioException, S3Error
from urllib3.exceptions import HTTPError

from pipeline.errors import ObjectMissing, StorageDenied, StorageError
from pipeline.storage.s3_connections import NotAStore, is_timeout

_FULL = {"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded"}
_ADVICE = {
    # What MinIO also says of a full disk, as it fills.
    "IncompleteBody": "it took a part of it only: is its disk full? See its log",
    "InternalError": "it failed: is its disk full? See its log",
    "NoSuchBucket": "its bucket is missing: run init",
    "RequestTimeTooSkewed": "its clock and ours differ: set them",
    "AuthorizationHeaderMalformed": "it is in another region: name that as ?region= of its address",
    **dict.fromkeys(_FULL, "it is full: make room"),
}
_DENIED_ADVICE = {
    # What MinIO also says of a full disk, as it fills.
    "IncompleteBody": "it took a part of it only: is its disk full? See its log",
    "InternalError": "it failed: is its disk full? See its log",
    "InvalidAccessKeyId": "it does not know this user: run init, or wait until it has",
    "SignatureDoesNotMatch": "the password is wrong: was it rotated?",
}


@contextmanager
def explained(doing: str, key: str, endpoint: str) -> Iterator[None]:
    """Raises ObjectMissing, StorageDenied or StorageError for what goes wrong inside.

    What the server says of itself is left out: pages of proxies, and signatures.
    """
    failed = f"cannot {doing} {key} in the object store at {endpoint}"
    try:
        yield
    except S3Error as error:
        raise _explain_refusal(error, key, failed) from error
    except (MinioException, ParseError, ValueError) as error:
        raise StorageError(f"{failed}: it answered what cannot be read") from error
    except (HTTPError, OSError) as error:
        raise StorageError(f"{failed}: {_explain_silence(error)}") from error


def _explain_refusal(error: S3Error, key: str, failed: str) -> StorageError | ObjectMissing:
    code, status = error.code or "", error.response.status
    if code == "NoSuchKey":
        return ObjectMissing(key)
    if code in _ADVICE:
        return StorageError(f"{failed}: {_ADVICE[code]}")
    if status in {401, 403}:
        advice = _DENIED_ADVICE.get(code, "this user may not, or its bucket is missing: run init")
        return StorageDenied(f"{failed}: {advice}")
    return StorageError(f"{failed}: it answered {status} {code}".rstrip())


def _explain_silence(error: BaseException) -> str:
    if isinstance(error, NotAStore):
        return f"something else answered ({error}): is the address right, or a proxy in between?"
    cause = _innermost(error)
    if is_timeout(cause):
        return "it did not answer in time"
    reason = cause.strerror if isinstance(cause, OSError) else None
    return f"it does not answer ({reason or type(cause).__name__})"


def _innermost(error: BaseException) -> BaseException:
    """What urllib3 wrapped, and wrapped again."""
    while True:
        wrapped = [error.__cause__, getattr(error, "reason", None), *error.args]
        inner = next((one for one in wrapped if isinstance(one, BaseException)), None)
        if inner is None:
            return error
        error = inner

from __future__ import annotations

import pytest

from pipeline.errors import UserError
from pipeline.storage.s3_address import S3Address, read_address


def test_address_names_server_user_and_password() -> None:
    assert read_address("s3+http://capture:pw@object-store:9000") == S3Address(
        "object-store:9000", "capture", "pw", secure=False
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3+https://u:p@s3.example.org", S3Address("s3.example.org", "u", "p", secure=True)),
        ("s3+http://u:p@[::1]:9000/", S3Address("[::1]:9000", "u", "p", secure=False)),
        ("s3+http://u%40:p%2F%25@h", S3Address("h", "u@", "p/%", secure=False)),
        (
            "s3+http://u:p@h/lyon-?region=eu-west-3",
            S3Address("h", "u", "p", secure=False, bucket_prefix="lyon-", region="eu-west-3"),
        ),
    ],
)
def test_address_is_read_in_all_its_forms(url: str, expected: S3Address) -> None:
    assert read_address(url) == expected


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("s3+http://u:hush@", "names no server"),
        ("s3+http:///lyon", "names no server"),
        ("s3+http://h:9000", "no user or no password"),
        ("s3+http://u@h:9000", "PIPELINE_STORE_PASSWORD_FILE"),
        ("s3+http://u:hush@h:port", "cannot be read"),
        ("s3+http://u:hush@[h", "cannot be read"),
        ("s3+http://u:hush@h/lyon/raw", "prefix of buckets' names"),
        ("s3+http://u:hush@h/Lyon", "prefix of buckets' names"),
        ("s3+http://u:hush@h?region=", "one option"),
        ("s3+http://u:hush@h?region=a/b", "one option"),
        ("s3+http://u:hush@h?secret=hush", "one option"),
    ],
)
def test_address_that_cannot_be_used_says_why_and_no_secret(url: str, why: str) -> None:
    with pytest.raises(UserError, match=why) as caught:
        read_address(url)
    assert "hush" not in str(caught.value)


def test_password_is_not_shown() -> None:
    assert "hush" not in repr(read_address("s3+http://u:hush@h"))

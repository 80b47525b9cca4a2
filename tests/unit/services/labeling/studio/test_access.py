from __future__ import annotations

import time
from pathlib import Path

import jwt
import pytest

from pipeline.errors import UserError
from services.labeling.studio.access import TokenKind, check_access, read_token, read_url, tell_kind
from tests.stub_studio import Received, Reply, running_stub

LEGACY = "0123456789abcdef0123456789abcdef01234567"
KEY = "k" * 32


def write_jwt(kind: str) -> str:
    claims = {"token_type": kind, "exp": int(time.time()) + 1_000}
    return jwt.encode(claims, KEY, algorithm="HS256")


def token_file(folder: Path, held: bytes, mode: int = 0o600) -> Path:
    file = folder / "token"
    file.write_bytes(held)
    file.chmod(mode)
    return file


@pytest.mark.parametrize(
    "held", [b"abc123", b"abc123\n", b"  abc123\r\n\r\n", b"\xef\xbb\xbfabc123\r\n"]
)
def test_token_is_read_without_what_editors_add(tmp_path: Path, held: bytes) -> None:
    read = read_token(token_file(tmp_path, held))
    assert read.token == "abc123"
    assert read.warning is None
    assert "abc123" not in repr(read)


@pytest.mark.parametrize(
    "held",
    [
        b"",
        b" \n\t",
        b"abc 123",
        b"abc\n123",
        b"token = abc123",
        b"abc\x00123",
        b"\x89PNG\r\n\x1a\n",
        "abc123".encode("utf-16"),
        "jeton-à-moi".encode(),
        b"a" * 5_000,
    ],
)
def test_file_without_a_token_is_refused(tmp_path: Path, held: bytes) -> None:
    with pytest.raises(UserError) as caught:
        read_token(token_file(tmp_path, held))
    assert "123" not in str(caught.value).replace(str(tmp_path), "")


def test_missing_token_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read_token(tmp_path / "none")
    with pytest.raises(UserError, match="directory"):
        read_token(tmp_path)


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_file_that_others_may_read_is_warned_of(tmp_path: Path, mode: int) -> None:
    warning = read_token(token_file(tmp_path, b"abc", mode)).warning
    assert warning is not None
    assert "chmod 600" in warning


def test_kind_of_a_token_is_told() -> None:
    assert tell_kind(LEGACY) is TokenKind.LEGACY
    assert tell_kind(write_jwt("refresh")) is TokenKind.PERSONAL
    assert tell_kind(write_jwt("access")) is TokenKind.ACCESS
    assert tell_kind("a.b.c") is TokenKind.LEGACY
    assert tell_kind("a.WzFd.c") is TokenKind.LEGACY  # a list where claims should be


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        (" https://Label.Example.org/ \n", "https://label.example.org"),
        ("https://x.test/projects/3/data?tab=1&task=5", "https://x.test"),
        ("https://x.test/label/projects", "https://x.test/label"),
        ("https://x.test/label/user/account", "https://x.test/label"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
    ],
)
def test_address_is_read_as_a_person_has_it(typed: str, read: str) -> None:
    assert read_url(typed) == read


@pytest.mark.parametrize(
    "typed", ["", "localhost:8080", "ftp://x.test", "http://", "http://x:99999", "http://[::1"]
)
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(UserError, match="begins with"):
        read_url(typed)


def test_address_with_a_password_is_refused_without_showing_it() -> None:
    with pytest.raises(UserError, match="leave name and password out") as caught:
        read_url("http://me:hunter2@x.test")
    assert "hunter2" not in str(caught.value)


def answer_well(received: Received) -> Reply:
    if received.path == "/api/version":
        return Reply({"release": "1.23.2"})
    return Reply({"email": "me@x.test"})


def test_access_says_who_and_what() -> None:
    with running_stub(answer_well) as stub:
        access = check_access(stub.url, LEGACY)
    assert (access.version, access.user, access.problem) == ("1.23.2", "me@x.test", None)
    assert access.kind is TokenKind.LEGACY


def test_access_token_is_told_from_a_personal_one() -> None:
    with running_stub(answer_well) as stub:
        access = check_access(stub.url, write_jwt("access"))
    assert access.kind is TokenKind.ACCESS
    assert access.problem is not None
    assert "use a personal access token" in access.problem


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(b"<html>Welcome to nginx"), "no answer of a Label Studio's"),
        (Reply({"hello": "world"}), "does not answer as a Label Studio does"),
        (
            Reply(status=301, headers=(("Location", "https://x.test/api/version"),)),
            "redirects to https://x.test: connect to that address",
        ),
        (Reply(b"<html>", 503), "503"),
    ],
)
def test_problem_of_an_address_is_one_sentence(reply: Reply, words: str) -> None:
    with running_stub(reply) as stub:
        access = check_access(stub.url, LEGACY)
    assert access.version is None
    assert access.problem is not None
    assert words in access.problem
    assert "\n" not in access.problem


def test_ended_token_is_a_problem() -> None:
    ended = jwt.encode({"token_type": "refresh", "exp": 1}, KEY, algorithm="HS256")
    assert "expired" in (check_access("http://127.0.0.1:1", ended).problem or "")

from __future__ import annotations

import pytest

from infra.init.administrator import hash_password, is_hash_of

# Made by Django 5.2's make_password("correct horse", salt="salt1234").
DJANGOS = "pbkdf2_sha256$1000000$salt1234$f6/mo9S2iRWzvc8ngEyB1FmOuRMX1GvVrw6YtkuKlqo="


def test_hash_that_django_made_is_known() -> None:
    assert is_hash_of("correct horse", DJANGOS)
    assert not is_hash_of("correct house", DJANGOS)


def test_hash_is_made_as_django_makes_it() -> None:
    hashed = hash_password("correct horse")
    assert hashed.split("$")[:2] == DJANGOS.split("$")[:2]
    assert is_hash_of("correct horse", hashed)
    assert hash_password("correct horse") != hashed


@pytest.mark.parametrize("hashed", ["", "!", "argon2$x", "pbkdf2_sha256$many$salt$x", "a$b$c$d$e"])
def test_hash_of_another_kind_is_no_ones(hashed: str) -> None:
    assert not is_hash_of("correct horse", hashed)

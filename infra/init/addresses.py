"""Addresses of servers: where they are, and how to log in there as somebody else."""

from __future__ import annotations

from urllib.parse import quote, urlsplit


def place_of(url: str) -> str:
    """Host and port."""
    return urlsplit(url).netloc.rpartition("@")[2]


def user_of(url: str) -> str:
    return urlsplit(url).username or ""


def log_in_as(url: str, user: str, password: str) -> str:
    """The same address with another user's name and password."""
    netloc = f"{quote(user, safe='')}:{quote(password, safe='')}@{place_of(url)}"
    return urlsplit(url)._replace(netloc=netloc).geturl()

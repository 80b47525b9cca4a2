from __future__ import annotations

import pytest

from pipeline.addresses import hide_secrets


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://city.example/a.jpg", "https://city.example/a.jpg"),
        ("https://city.example/a.jpg?id=3&t=x%20y", "https://city.example/a.jpg?id=3&t=x%20y"),
        ("http://joe:s3cret@city.example:81/a", "http://***@city.example:81/a"),
        ("http://h.example/a?id=3&token=abc&x=", "http://h.example/a?id=3&token=***&x="),
        ("http://h.example/a?API_KEY=abc", "http://h.example/a?API_KEY=***"),
        ("http://[broken/a?token=abc", "***"),
    ],
)
def test_secrets_are_hidden_and_the_rest_is_shown(url: str, shown: str) -> None:
    assert hide_secrets(url) == shown

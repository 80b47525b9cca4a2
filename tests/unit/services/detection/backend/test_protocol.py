from __future__ import annotations

import json

import pytest

from services.detection.backend.protocol import PredictRequest, SetupRequest


def make_setup(hostname: str) -> SetupRequest:
    return SetupRequest.model_validate(
        {"project": "8.1", "schema": "<View/>", "hostname": hostname, "access_token": "t0ken"}
    )


@pytest.mark.parametrize(
    ("hostname", "url"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("https://lab.example/label-studio/", "https://lab.example/label-studio"),
        ("", ""),
        ("file:///etc", ""),
        ("http://", ""),
        ("http://me:x@lab.example", ""),
        ("http://[", ""),
        ("http://lab.example:x", ""),
    ],
)
def test_label_studio_is_where_it_says(hostname: str, url: str) -> None:
    assert make_setup(hostname).url == url


def test_token_is_not_shown() -> None:
    assert "t0ken" not in repr(make_setup("http://127.0.0.1:8080"))


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"login": None, "password": None, "context": None}, False),
        ({"context": {"result": []}}, True),
        (None, False),
    ],
)
def test_whoever_draws_sends_a_context(params: object, expected: bool) -> None:
    body = {"tasks": [], "project": "8.1", "label_config": "<View/>", "params": params}
    assert PredictRequest.model_validate(body).is_interactive is expected


def test_anything_may_be_in_a_task() -> None:
    task = json.loads('{"id": 1, "data": {"text": "\\ud800", "n": NaN}, "annotations": [[]]}')
    asked = PredictRequest.model_validate({"tasks": [task], "label_config": ""})
    assert asked.tasks[0]["data"]["text"] == "\ud800"

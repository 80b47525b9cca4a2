from __future__ import annotations

import base64
from pathlib import Path

import pytest

from services.detection.backend.access import is_known
from services.detection.backend.settings import BackendSettings


def basic(login: str) -> str:
    return "Basic " + base64.b64encode(login.encode()).decode()


@pytest.fixture
def settings(tmp_path: Path) -> BackendSettings:
    (tmp_path / "password").write_text("open: sésame\n")
    return BackendSettings(password_file=tmp_path / "password")


def test_user_and_password_are_known(settings: BackendSettings) -> None:
    assert is_known(basic("label-studio:open: sésame"), settings)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic !!",
        "Basic é",
        basic("label-studio:open: sésame").removeprefix("Basic "),
        basic("label-studio:open: sésame").replace("Basic", "Bearer"),
        basic("label-studio:"),
        basic("label-studio:open: sésame\n"),
        basic("admin:open: sésame"),
        basic(""),
    ],
)
def test_anything_else_is_not(settings: BackendSettings, header: str) -> None:
    assert not is_known(header, settings)


@pytest.mark.parametrize("content", ["", "\n", None])
def test_without_a_password_nobody_is(settings: BackendSettings, content: str | None) -> None:
    assert settings.password_file is not None
    settings.password_file.unlink() if content is None else settings.password_file.write_text(
        content
    )
    assert not is_known(basic("label-studio:"), settings)
    assert not is_known("", settings.model_copy(update={"password_file": None}))


def test_password_is_read_anew(settings: BackendSettings) -> None:
    assert settings.password_file is not None
    settings.password_file.write_text("another")
    assert is_known(basic("label-studio:another"), settings)

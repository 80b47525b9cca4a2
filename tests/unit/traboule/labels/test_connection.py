from __future__ import annotations

import stat
from pathlib import Path

import pytest

from pipeline.errors import UserError
from services.labeling.settings import ImageAccess, SendPolicy
from traboule.labels.connection import (
    FILE,
    KnownStudio,
    find_known,
    find_labeling,
    forget,
    place_of,
    remember,
    settings_of,
)

KNOWN = KnownStudio(
    url="http://127.0.0.1:8080", token_file=Path("/home/ann/token"), images_port=8301
)


def test_connection_is_remembered_for_its_owner_alone_without_a_token(tmp_path: Path) -> None:
    remember(tmp_path, KNOWN)
    assert find_known(tmp_path) == KNOWN
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (place_of(tmp_path), file_of(tmp_path))]
    assert modes == [0o700, 0o600]
    assert [one.name for one in place_of(tmp_path).iterdir()] == [FILE]


def test_connection_is_forgotten_once(tmp_path: Path) -> None:
    remember(tmp_path, KNOWN)
    assert [forget(tmp_path), forget(tmp_path)] == [True, False]
    assert find_known(tmp_path) is None
    assert find_labeling(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{}", "[1", '{"url": 3}'])
def test_connection_that_was_damaged_says_how_to_begin_anew(tmp_path: Path, text: str) -> None:
    remember(tmp_path, KNOWN)
    file_of(tmp_path).write_text(text)
    with pytest.raises(UserError, match="traboule labels disconnect"):
        find_known(tmp_path)
    assert forget(tmp_path)


def test_settings_are_the_folders_and_else_the_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABELING_URL", "http://elsewhere.example")
    monkeypatch.setenv("LABELING_POLICY", "nth")
    monkeypatch.setenv("LABELING_EVERY_NTH", "7")
    named = KNOWN.model_copy(update={"every_nth": 3, "images": ImageAccess.UPLOAD})
    settings = settings_of(tmp_path, named)
    assert (settings.url, settings.images) == (KNOWN.url, ImageAccess.UPLOAD)
    assert (settings.policy, settings.every_nth) == (SendPolicy.NTH, 3)
    assert (settings.images_url, settings.api_port) == ("http://127.0.0.1:8301", 8301)


def test_hints_are_asked_of_a_label_studio_of_our_own_alone(tmp_path: Path) -> None:
    ours = KNOWN.model_copy(update={"is_ours": True})
    assert settings_of(tmp_path, KNOWN).webhook_url is None
    assert settings_of(tmp_path, ours).webhook_url == "http://127.0.0.1:8301/webhook"


def test_predictions_are_named_by_whoever_serves_them_alone(tmp_path: Path) -> None:
    ours = KNOWN.model_copy(update={"is_ours": True, "backend_port": 8303})
    remember(tmp_path, ours)
    assert settings_of(tmp_path, ours).backend_url == "http://127.0.0.1:8303"
    settings = find_labeling(tmp_path)
    assert settings is not None
    assert (settings.url, settings.backend_url) == (KNOWN.url, None)


def test_without_a_folder_the_environment_says_what_is_connected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert find_labeling(None) is None
    monkeypatch.setenv("LABELING_URL", "http://label-studio:8080")
    settings = find_labeling(None)
    assert settings is not None and settings.url == "http://label-studio:8080"


def file_of(data: Path) -> Path:
    return place_of(data) / FILE

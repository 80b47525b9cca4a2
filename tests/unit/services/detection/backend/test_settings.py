from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.detection.backend.settings import BackendSettings


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETECTION_BACKEND_LABEL_STUDIO_URL", "http://label-studio:8080/")
    monkeypatch.setenv("DETECTION_BACKEND_DETECTORS", '["haar"]')
    monkeypatch.setenv("DETECTION_BACKEND_PASSWORD_FILE", "")
    settings = BackendSettings()
    assert settings.label_studio_url == "http://label-studio:8080"
    assert settings.detectors == ("haar",)
    assert settings.password_file is None


def test_answer_comes_before_label_studio_gives_up() -> None:
    settings = BackendSettings()
    assert settings.deadline_s + settings.fetch_s < 100
    with pytest.raises(ValidationError):
        BackendSettings(deadline_s=95)

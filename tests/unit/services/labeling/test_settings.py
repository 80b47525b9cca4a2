from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.errors import UserError
from services.labeling.settings import ImageAccess, LabelingSettings, SendPolicy, read_secret


def test_nothing_is_connected_unless_the_environment_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LABELING_URL", "")
    assert LabelingSettings().url is None
    monkeypatch.setenv("LABELING_URL", "http://label-studio:8080/")
    monkeypatch.setenv("LABELING_POLICY", "uncertain")
    monkeypatch.setenv("LABELING_SCORE_BAND", "[0.2,0.5]")
    monkeypatch.setenv("LABELING_IMAGES", "s3")
    settings = LabelingSettings()
    assert settings.url == "http://label-studio:8080"
    assert settings.policy is SendPolicy.UNCERTAIN
    assert settings.score_band == (0.2, 0.5)
    assert settings.images is ImageAccess.S3


@pytest.mark.parametrize("band", [(0.6, 0.3), (0.3, 0.3), (-0.1, 0.5), (0.5, 1.5)])
def test_band_that_is_none_is_refused(band: tuple[float, float]) -> None:
    with pytest.raises(ValidationError, match="the lower first"):
        LabelingSettings(score_band=band)


@pytest.mark.parametrize(
    "wrong", [{"every_nth": 0}, {"fraction": 1.5}, {"project": "ab"}, {"policy": "some"}]
)
def test_settings_out_of_bounds_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LabelingSettings.model_validate(wrong)


def test_secret_is_read_without_its_newline_and_named_when_it_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    with pytest.raises(UserError, match=r"cannot read the word from .*secret: No such file"):
        read_secret(file, "the word")
    file.write_text("open sesame\n")
    assert read_secret(file, "the word") == "open sesame"
    file.write_text("\n")
    with pytest.raises(UserError, match="is empty"):
        read_secret(file, "the word")
    with pytest.raises(UserError, match="no file is named"):
        read_secret(None, "the word")

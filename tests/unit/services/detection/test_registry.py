"""Detectors are built by name, and only those that are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ModelUnavailable, UserError
from services.detection.registry import FACTORIES, build_detectors, keep_detectors
from services.detection.settings import DetectionSettings


def test_build_needs_no_file_for_those_without_one(tmp_path: Path) -> None:
    detectors = build_detectors(["moving-object", "haar", "haar"], None, tmp_path)
    assert list(detectors) == ["moving-object", "haar"]
    for name, detector in detectors.items():
        assert (detector.name, detector.identity.name) == (name, name)
        assert detector.labels
        assert not detector.finds_faces


def test_build_names_the_missing_model(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="yolox-nano"):
        build_detectors(["moving-object", "yolox-nano"], None, tmp_path)


def test_build_lists_the_detectors_for_an_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no detector yunnet") as refusal:
        build_detectors(["yunnet"], None, tmp_path)
    assert all(name in str(refusal.value) for name in FACTORIES)


def test_kept_detectors_are_loaded_once_and_missing_ones_tried_anew(tmp_path: Path) -> None:
    give = keep_detectors(DetectionSettings(TRABOULE_MODELS_DIR=None, models_cache=tmp_path))
    [haar] = give(["haar"])
    for _ in range(2):
        with pytest.raises(ModelUnavailable, match="yunet"):
            give(["haar", "yunet"])
    assert give(["haar", "haar"]) == [haar, haar]

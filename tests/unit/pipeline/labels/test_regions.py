"""Detections as regions of Label Studio; sending.predictions tests what is in them."""

from __future__ import annotations

from pipeline.labels.geometry import Size
from pipeline.labels.regions import find_score, name_version, write_regions
from pipeline.records import BoundingBox, Detection, ModelIdentity


def found(score: float) -> Detection:
    box = BoundingBox(x1=64, y1=96, x2=256, y2=288)
    return Detection(label="car", score=score, box=box, detector="yolox-nano")


def test_regions_go_by_the_names_of_the_interface() -> None:
    [region] = write_regions([found(0.5)], Size(640, 480), "a", "boxes", "photo")
    assert (region["from_name"], region["to_name"]) == ("boxes", "photo")


def test_ids_follow_from_the_seed() -> None:
    first, again, other = (
        [one["id"] for one in write_regions([found(0.5)] * 2, Size(640, 480), seed)]
        for seed in ("a", "a", "b")
    )
    assert first == again
    assert len({*first, *other}) == 4


def test_score_is_the_least_certain() -> None:
    assert find_score([found(0.5), found(0.3)]) == 0.3
    assert find_score([]) is None


def test_version_names_the_file_where_there_is_one() -> None:
    model = ModelIdentity(name="yolox-nano", sha256="1f2e3d4c" + "0" * 56, licence="none")
    assert name_version(model, "yolox-nano") == "yolox-nano 1f2e3d4c"
    assert name_version(model.model_copy(update={"sha256": None}), "motion") == "motion"

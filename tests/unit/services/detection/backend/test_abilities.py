from __future__ import annotations

from collections.abc import Sequence

import pytest

from pipeline.errors import ModelUnavailable
from pipeline.labels.interface import UnreadableInterface, write_interface
from services.detection.backend.abilities import Ability, NothingToFind, find_ability
from services.detection.backend.settings import BackendSettings
from services.detection.detector import Detector
from services.detection.pixels import decode_pixels
from tests.ml_backend import Painted, paint

VERSION = "yolox-nano 1f2e3d4c"


def give(names: Sequence[str]) -> Sequence[Detector]:
    known = {"yolox-nano": Painted(), "yunet": Painted("yunet", ("face",), None)}
    return [known[name] for name in names]


def ability_for(*classes: str) -> Ability:
    return find_ability(write_interface(classes), BackendSettings(), give)


def found(ability: Ability, *painted: str) -> dict[str, list[str]]:
    """Labels by version."""
    return {
        one["model_version"]: [
            label for region in one["result"] for label in region["value"]["rectanglelabels"]
        ]
        for one in ability.predict(decode_pixels(paint(*painted)), "task 1")
    }


def test_only_labels_of_the_interface_are_predicted() -> None:
    assert found(ability_for("bus", "face"), "car") == {}
    assert found(ability_for("bus", "face"), "bus", "car") == {VERSION: ["bus"], "yunet": []}


def test_faces_are_looked_for_where_there_is_the_label() -> None:
    assert found(ability_for("car"), "car", "face") == {VERSION: ["car"]}
    assert found(ability_for("car", "face"), "car", "face") == {
        VERSION: ["car"],
        "yunet": ["face"],
    }
    assert ability_for("face").version == "yunet"


def test_labels_are_written_as_the_interface_does() -> None:
    assert found(ability_for("Car", "BUS"), "car", "bus") == {VERSION: ["Car", "BUS"]}


def test_model_that_found_nothing_is_told_beside_one_that_did() -> None:
    """Its version is that by which Label Studio knows whom it need not ask about."""
    ability = ability_for("car", "face")
    assert found(ability, "face") == {VERSION: [], "yunet": ["face"]}
    assert ability.version == VERSION


def test_nothing_found_is_no_prediction() -> None:
    assert found(ability_for("car", "face")) == {}


def test_names_of_the_interface_are_used() -> None:
    xml = (
        '<View><Image name="photo" value="$picture"/><RectangleLabels name="boxes" toName="photo">'
        '<Label value="Automobile" alias="car"/></RectangleLabels></View>'
    )
    ability = find_ability(xml, BackendSettings(), give)
    assert ability.field == "picture"
    [prediction] = ability.predict(decode_pixels(paint("car")), "task 1")
    [region] = prediction["result"]
    assert (region["from_name"], region["to_name"]) == ("boxes", "photo")
    assert region["value"]["rectanglelabels"] == ["car"]


def test_several_become_one_for_whoever_draws() -> None:
    ability = ability_for("car", "face")
    merged = ability.merge(ability.predict(decode_pixels(paint("car", "face")), "task 1"))
    assert len(merged["result"]) == 2
    assert (merged["model_version"], merged["score"]) == (VERSION, 0.8)
    assert ability.merge([]) == {"model_version": VERSION, "score": None, "result": []}


def test_interface_of_which_nothing_is_known_is_refused() -> None:
    with pytest.raises(NothingToFind, match="car, bus"):
        ability_for("cat")
    with pytest.raises(UnreadableInterface):
        find_ability("<View/>", BackendSettings(), give)


def test_missing_model_is_told() -> None:
    def give_none(names: Sequence[str]) -> Sequence[Detector]:
        raise ModelUnavailable("the model yolox-nano is missing")

    with pytest.raises(ModelUnavailable):
        find_ability(write_interface(["car"]), BackendSettings(), give_none)

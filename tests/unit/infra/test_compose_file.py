"""What several services of docker-compose.yml and the Swarm stack must say alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
HEALTH = "PIPELINE_HEALTH_FILE"


def services_in(path: str) -> dict[str, dict[str, Any]]:
    read: dict[str, Any] = yaml.safe_load((ROOT / path).read_text())
    return dict(read["services"])


@pytest.fixture
def composed() -> dict[str, dict[str, Any]]:
    return services_in("docker-compose.yml")


def test_labels_works_with_what_labeling_has_and_cli_with_less(
    composed: dict[str, dict[str, Any]],
) -> None:
    labeling, labels, cli = composed["labeling"], composed["labels"], composed["cli"]
    theirs = {name: value for name, value in labeling["environment"].items() if name != HEALTH}
    assert labels["environment"] == theirs
    assert labels["volumes"] == labeling["volumes"]
    assert set(labels["networks"]) == set(labeling["networks"])
    assert labels["image"] == cli["image"]
    assert not any(name.startswith("LABELING_") for name in cli["environment"])


def test_labeling_is_set_alike_in_both(composed: dict[str, dict[str, Any]]) -> None:
    def settings_of(services: dict[str, dict[str, Any]]) -> dict[str, str]:
        environment = services["labeling"]["environment"]
        return {name: value for name, value in environment.items() if name.startswith("LABELING_")}

    assert settings_of(composed) == settings_of(services_in("infra/swarm/stack.yml"))


def test_fetch_has_no_part_in_anything_else(composed: dict[str, dict[str, Any]]) -> None:
    """It reads what another Label Studio sends: it has none of our secrets, and reaches no server
    of ours but our own Label Studio."""
    fetch = composed["fetch"]
    assert set(fetch["networks"]) == {"outside", "label-studio"}
    assert [volume["target"] for volume in fetch["volumes"]] == ["/fetched"]
    assert fetch["profiles"] == ["fetch"]


def test_what_a_person_starts_does_not_start_by_itself(
    composed: dict[str, dict[str, Any]],
) -> None:
    for name in ("cli", "labels", "upkeep", "fetch", "simulation"):
        assert composed[name]["profiles"] == [name]

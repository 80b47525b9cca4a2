from __future__ import annotations

from dataclasses import fields

import pytest

from traboule.advice import COMPOSED, EMBEDDED, advise, fit


def test_advice_says_what_fits_the_place() -> None:
    assert advise(composed=True) is COMPOSED
    assert advise(composed=False) is EMBEDDED
    assert not any("docker" in getattr(EMBEDDED, one.name) for one in fields(EMBEDDED))
    assert not any("traboule" in getattr(COMPOSED, one.name) for one in fields(COMPOSED))


@pytest.mark.parametrize(
    ("message", "fitting"),
    [
        ("see: traboule images list", "see: docker compose run --rm cli images list"),
        (
            "stop it and run: traboule rebuild-catalog",
            "stop it and run: docker compose run --rm upkeep rebuild-catalog",
        ),
        ("by: traboule labels connect", "by: docker compose run --rm labels labels connect"),
        ("see: traboule labels status", "see: docker compose run --rm cli labels status"),
        ("another traboule works there", "another traboule works there"),
        ("/home/traboule cameras", "/home/traboule cameras"),
    ],
)
def test_commands_are_told_as_they_are_called_in_a_container(
    monkeypatch: pytest.MonkeyPatch, message: str, fitting: str
) -> None:
    monkeypatch.delenv("PIPELINE_CATALOG_URL", raising=False)
    assert fit(message) == message
    monkeypatch.setenv("PIPELINE_CATALOG_URL", "postgresql://catalog/")
    assert fit(message) == fitting

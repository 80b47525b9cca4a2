from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from pipeline.errors import UserError
from services.labeling.fetching import schedule as repeated_fetch
from services.labeling.fetching.schedule import (
    AFTER_A_FAILURE_S,
    STEP_S,
    Export,
    Rest,
    fetch_for_ever,
    read_servers,
    try_to_fetch,
)
from services.labeling.fetching.settings import FetchSettings
from tests.studio_stand_in import LEGACY_TOKEN, StandIn, draw, stand_in_studio
from tests.unit.services.labeling.fetching.test_label_files import make_zip

UPLOAD, EXPORT = "/data/upload/2/c8bee958-a.jpg", "/api/projects/2/export"
NOTES = b'{"categories": [{"id": 0, "name": "car"}]}'
BOX = b"0 0.5 0.5 0.25 0.25\n"


class Over(BaseException):
    """The loop has had as many rounds as it should."""


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[StandIn]:
    with stand_in_studio() as made:
        made.add_task(3, UPLOAD)
        made.private[UPLOAD] = draw("red")
        labels = {"notes.json": NOTES, "labels/c8bee958-a.txt": BOX}
        made.private[EXPORT] = make_zip(tmp_path / "e.zip", labels).read_bytes()
        yield made


@pytest.fixture
def export(studio: StandIn, tmp_path: Path) -> Export:
    token_file = tmp_path / "token"
    token_file.write_text(LEGACY_TOKEN)
    return Export(studio.url, 2, token_file, tmp_path / "fetched", 1000.0)


def quick() -> Rest:
    return Rest(lambda: None, lambda seconds: None)


def test_export_and_its_images_are_fetched_and_what_is_there_is_not_again(
    studio: StandIn, export: Export
) -> None:
    with capture_logs() as logs:
        assert try_to_fetch(export, quick())
        assert try_to_fetch(export, quick())
    assert (export.into / "images/c8bee958-a.jpg").read_bytes() == draw("red")
    assert (export.into / "labels/c8bee958-a.txt").read_bytes() == BOX
    assert [(one["new"], one["there"], one["missing"]) for one in logs] == [(1, 0, 0), (0, 1, 0)]
    assert studio.paths().count(UPLOAD) == 1
    assert LEGACY_TOKEN not in str(logs)


def test_image_of_a_server_in_our_network_is_fetched_only_where_it_is_named(
    studio: StandIn, export: Export
) -> None:
    with stand_in_studio() as elsewhere:
        studio.tasks[2] = []
        studio.add_task(3, f"{elsewhere.url}/c8bee958-a.jpg")
        elsewhere.public["/c8bee958-a.jpg"] = draw("red")
        with capture_logs() as logs:
            assert try_to_fetch(export, quick())
            assert elsewhere.asked == []
            assert try_to_fetch(replace(export, image_servers=(elsewhere.url,)), quick())
    assert [(one["new"], one["missing"]) for one in logs] == [(0, 1), (1, 0)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"project": 9}, "has no /api/projects/9/"),
        ({"url": "http://127.0.0.1:9"}, "127.0.0.1"),
        ({"token_file": Path("/nowhere")}, "/nowhere cannot be read"),
        ({"into": Path("/proc/fetched")}, "cannot write"),
    ],
)
def test_failure_is_one_line_and_the_next_time_may_succeed(
    export: Export, change: dict[str, Any], reason: str
) -> None:
    with capture_logs() as logs:
        assert not try_to_fetch(replace(export, **change), quick())
        assert try_to_fetch(export, quick())
    failed, succeeded = logs
    assert (failed["log_level"], succeeded["event"]) == ("warning", "fetched")
    assert reason in failed["reason"]


def test_what_a_person_must_look_at_is_tried_at_the_usual_time(
    studio: StandIn, export: Export
) -> None:
    """Each try is an export more that Label Studio keeps."""
    studio.private["/api/projects/2/"] = b'{"created_at": "2024"}'
    with capture_logs() as logs:
        assert try_to_fetch(export, quick())
        studio.private["/api/projects/2/"] = b'{"created_at": "2025"}'
        assert try_to_fetch(export, quick())
    assert [one["event"] for one in logs] == ["fetched", "not fetched"]
    assert "move what is in it elsewhere" in logs[1]["reason"]


def test_what_nobody_foresaw_ends_nothing(export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: object) -> None:
        raise KeyError("a mistake of ours")

    with monkeypatch.context() as broken, capture_logs() as logs:
        broken.setattr(repeated_fetch, "fetch_export", stumble)
        assert not try_to_fetch(export, quick())
    assert [one["log_level"] for one in logs] == ["error"]


def test_rounds_come_at_their_time_and_sooner_after_a_failure(
    export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = [True, False, True]
    rested: list[float] = []

    class Short(Rest):
        def __call__(self, seconds: float) -> None:
            rested.append(seconds)

    def fetch(*_: object) -> bool:
        if not outcomes:
            raise Over
        return outcomes.pop(0)

    monkeypatch.setattr(repeated_fetch, "try_to_fetch", fetch)
    with pytest.raises(Over):
        fetch_for_ever(export, 3600, Short(lambda: None))
    assert rested == [3600, AFTER_A_FAILURE_S, 3600]


def test_rest_shows_signs_of_life_all_along() -> None:
    signs: list[str] = []
    Rest(lambda: signs.append("alive"), lambda seconds: signs.append(f"{seconds:g}"))(12)
    assert signs == ["alive", "5", "alive", "5", "alive", "2", "alive"]
    assert STEP_S == 5


def test_every_request_is_a_sign_of_life(studio: StandIn, export: Export) -> None:
    signs: list[int] = []
    try_to_fetch(export, Rest(lambda: signs.append(len(studio.paths())), lambda seconds: None))
    assert set(range(len(studio.paths()))) <= set(signs)


def test_settings_that_say_too_little_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "PROJECT", "TOKEN_FILE"):
        monkeypatch.delenv(f"FETCH_{name}", raising=False)
    monkeypatch.setenv("FETCH_URL", "https://labels.example.org/projects/3/data")
    monkeypatch.setenv("FETCH_EVERY_S", "")
    with pytest.raises(UserError, match="Set FETCH_PROJECT, FETCH_TOKEN_FILE"):
        Export.wanted_by(FetchSettings())
    monkeypatch.setenv("FETCH_PROJECT", "3")
    monkeypatch.setenv("FETCH_TOKEN_FILE", "/run/secrets/token")
    monkeypatch.setenv("FETCH_IMAGE_SERVERS", '["http://nas.lan:9000/"]')
    settings = FetchSettings()
    assert settings.every_s == 3600
    wanted = Export.wanted_by(settings)
    assert (wanted.url, wanted.image_servers) == (
        "https://labels.example.org",
        ("http://nas.lan:9000",),
    )


@pytest.mark.parametrize("address", ["http://me:sesame@nas.lan", "me:sesame@nas.lan", "sesame"])
def test_server_that_is_none_is_told_by_its_place(address: str) -> None:
    with pytest.raises(UserError, match="number 2 is no http") as caught:
        read_servers(["http://nas.lan", address])
    assert "sesame" not in f"{caught.value} {caught.value.__cause__}"


def test_servers_that_are_no_list_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FETCH_IMAGE_SERVERS", '"http://me:sesame@nas.lan"')
    with pytest.raises(ValidationError) as caught:
        FetchSettings()
    assert "sesame" not in str(caught.value)

"""The process is killed (-9) before every single change it makes: nothing is lost or doubled."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from pipeline import keys
from pipeline.catalog.images import ImageFilter
from pipeline.records import Detections, ImageState, Outcome
from services.detection.detector import DecodedImage
from services.detection.pixels import decode_pixels
from tests.integration.scenario import erase, restore, set_aside
from tests.stages import Bright, Stages, draw, open_stages

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
AFTER_THE_KILL_S = 100


def killed_at_every_change(scenario: str, begun: Path, tmp_path: Path) -> list[Path]:
    """Data folders, each left by a process that was killed one change later than the one before."""
    into = tmp_path / "deaths"
    command = [sys.executable, "-m", "tests.integration.scenario", scenario, str(begun), str(into)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    statuses = [line for line in ended.stdout.splitlines() if line.lstrip("-").isdigit()]
    assert len(statuses) > 1, f"the fault never happened: {ended.stderr}"
    assert set(statuses[:-1]) == {"-9"}, ended.stderr
    assert statuses[-1] == "0", ended.stderr
    return sorted(into.iterdir())


def objects(stages: Stages) -> Counter[str]:
    """How many objects lie below each prefix, from the store's own listing."""
    found: Counter[str] = Counter()
    for prefix in (keys.FRAMES, keys.DROPPED, keys.IMAGES, keys.DETECTIONS, keys.TOMBSTONES):
        found[prefix] = sum(1 for _ in stages.store.list(prefix))
    return +found


def assert_no_face_is_left(stages: Stages) -> None:
    for entry in stages.store.list(keys.IMAGES):
        pixels = decode_pixels(stages.store.get(entry.key).data)
        assert Bright().detect([DecodedImage(pixels)]) == [()]


def assert_rows_are_what_is_stored(stages: Stages) -> None:
    rows = stages.catalog.images.search(ImageFilter(states=(ImageState.DETECTED,), limit=None))
    stored = {keys.image_of(entry.key) for entry in stages.store.list(keys.DETECTIONS)}
    assert {row.id for row in rows} == stored
    for entry in stages.store.list(keys.DETECTIONS):
        result = Detections.model_validate_json(stages.store.get(entry.key).data)
        assert len(stages.store.get(keys.stored_image(result.provenance.id)).data) == (
            result.bytes_stored
        )


def test_frame_on_its_way_is_neither_lost_nor_doubled(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    open_stages(begun).catalog.close()
    deaths = 0
    for data in killed_at_every_change("keep", begun, tmp_path):
        deaths += 1
        stages = open_stages(data, AFTER_THE_KILL_S)
        received = objects(stages)[keys.FRAMES] == 2 or keys.IMAGES in objects(stages)
        stages.take_up()
        if received:
            assert objects(stages) == {keys.IMAGES: 1, keys.DETECTIONS: 1}, "lost"
        again = stages.take(draw(1)).outcome
        assert again in {Outcome.KEPT, Outcome.SAME_BYTES}
        assert (again is Outcome.SAME_BYTES) == received
        assert objects(stages) == {keys.IMAGES: 1, keys.DETECTIONS: 1}
        assert_rows_are_what_is_stored(stages)
        assert_no_face_is_left(stages)
        stages.catalog.close()
    assert deaths >= 10, "there are at least ten steps in the order of writes"


def test_near_duplicate_on_its_way_aside_is_neither_lost_nor_doubled(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    open_stages(begun).catalog.close()
    for data in killed_at_every_change("set_aside", begun, tmp_path):
        stages = open_stages(data, AFTER_THE_KILL_S)
        stages.take_up()
        stages.take(draw(1))
        stages.take(draw(1, noise=1))
        assert objects(stages) == {keys.IMAGES: 1, keys.DETECTIONS: 1, keys.DROPPED: 2}
        assert_rows_are_what_is_stored(stages)
        stages.catalog.close()


def test_restoring_cut_off_anywhere_is_finished_or_can_be_repeated(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    stages = open_stages(begun)
    set_aside(stages)
    stages.catalog.close()
    for data in killed_at_every_change("restore", begun, tmp_path):
        stages = open_stages(data, AFTER_THE_KILL_S)
        stages.take_up()
        if stages.first(ImageState.DROPPED):
            restore(stages)
        assert objects(stages) == {keys.IMAGES: 2, keys.DETECTIONS: 2}
        assert_rows_are_what_is_stored(stages)
        stages.catalog.close()


def test_erasing_cut_off_anywhere_is_finished_or_never_began(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    stages = open_stages(begun)
    stages.take(draw(1))
    stages.catalog.close()
    for data in killed_at_every_change("erase", begun, tmp_path):
        stages = open_stages(data, AFTER_THE_KILL_S)
        stages.take_up()
        if keys.TOMBSTONES not in objects(stages):
            assert objects(stages) == {keys.IMAGES: 1, keys.DETECTIONS: 1}
            erase(stages)
        assert objects(stages) == {keys.TOMBSTONES: 1}
        assert stages.catalog.images.search(ImageFilter(limit=None)) == []
        assert stages.take(draw(1)).outcome is Outcome.ERASED
        stages.catalog.close()


def test_taking_up_after_a_kill_may_itself_be_killed(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    open_stages(begun).catalog.close()
    begun = killed_at_every_change("keep", begun, tmp_path / "first")[5]
    for data in killed_at_every_change("take_up", begun, tmp_path):
        stages = open_stages(data, AFTER_THE_KILL_S)
        stages.take_up()
        assert objects(stages) == {keys.IMAGES: 1, keys.DETECTIONS: 1}
        assert_rows_are_what_is_stored(stages)
        stages.catalog.close()


def test_image_that_kills_its_worker_is_quarantined_after_three_attempts(tmp_path: Path) -> None:
    stages = open_stages(tmp_path)
    stages.detecting = False
    image = stages.take(draw(1)).image
    assert image is not None
    stages.catalog.close()
    script = [sys.executable, "-m", "tests.integration.scenario", "meet_poison", str(tmp_path)]
    statuses = [
        subprocess.run([*script, "at", str(n * 100)], cwd=ROOT, check=False).returncode
        for n in range(1, 6)
    ]
    assert statuses == [-9, -9, -9, 0, 0]
    stages = open_stages(tmp_path)
    row = stages.catalog.images.get(image)
    assert row is not None
    assert (row.state, row.attempts) == (ImageState.QUARANTINED, 3)
    assert stages.keys(keys.IMAGES) == []
    assert len(stages.keys(keys.FRAMES)) == 2, "its bytes wait for a person"
    stages.catalog.close()

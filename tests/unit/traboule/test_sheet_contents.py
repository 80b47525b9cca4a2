"""The words and colours of a sheet, and its page, of images made up here."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest

from pipeline.catalog.images import ImageFilter
from pipeline.records import KEPT_STATES, BoundingBox, Detection, ImageState, Policy
from traboule.sheet import render
from traboule.sheet_contents import (
    Polls,
    Sheet,
    SheetCamera,
    SheetImage,
    classify,
    describe_filter,
)

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
EVERYTHING = ImageFilter(states=KEPT_STATES)
HOSTILE = "</title></style><script>alert(1)</script><img src=x onerror=alert(1)>\"'{{ 7 * 7 }}"


class Page(HTMLParser):
    """What a browser would run or load from a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.loaded += [value or "" for name, value in attrs if name in ("href", "src")]

    handle_startendtag = handle_starttag


@pytest.fixture
def in_lyon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Paris")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def _image(image_id: str, *labels: str) -> SheetImage:
    box = BoundingBox(x1=5, y1=7, x2=15, y2=27)
    boxes = [Detection(label=label, score=0.876, box=box, detector="yolox") for label in labels]
    return SheetImage(image_id, NOON, "detected", 64, 48, jpeg="/9j/", boxes=tuple(boxes))


def _card(state: ImageState, reason: str = "") -> SheetImage:
    return SheetImage("quai-3", NOON, state.value, 64, 48, reason=reason)


def _camera(*images: SheetImage, words: str = "Quai") -> SheetCamera:
    return SheetCamera("quai", words, words, words, Policy.ANONYMISE, images)


def _sheet(
    *cameras: SheetCamera,
    wanted: ImageFilter = EVERYTHING,
    matching: int = 1,
    gone: int = 0,
    polls: Mapping[str, int] | None = None,
) -> Sheet:
    counted = (Polls(HOSTILE, polls),) if polls else ()
    return Sheet(HOSTILE, NOON, wanted, matching, gone, cameras, counted)


def test_filter_says_how_many_of_how_many() -> None:
    sheet = _sheet(_camera(_image("quai-1")), matching=3000)
    assert describe_filter(sheet) == "1 newest of 3,000 images"


def test_filter_says_that_cameras_share_the_room() -> None:
    sheet = _sheet(_camera(_image("quai-1")), _camera(_image("pont-1")), matching=3000)
    assert describe_filter(sheet) == "2 of 3,000 images, the newest of each camera"


def test_filter_counts_an_image_that_has_gone_as_shown() -> None:
    assert describe_filter(_sheet(_camera(_image("quai-1")), matching=2, gone=1)) == "all 2 images"


def test_filter_is_said_in_words(in_lyon: None) -> None:
    wanted = ImageFilter("quai", NOON, NOON + timedelta(hours=1), "car", (ImageState.STORED,))
    assert describe_filter(_sheet(_camera(_image("quai-1")), wanted=wanted)) == (
        "all 1 image, camera quai, from Sat 21 Nov 2026, 13:00:00 CET, "
        "until Sat 21 Nov 2026, 14:00:00 CET, with car, waiting for detection"
    )


def test_every_label_has_a_colour_and_a_switch() -> None:
    sheet = _sheet(_camera(_image("quai-1", "tram", "car", "scooter")))
    assert list(sheet.colours) == ["car", "scooter", "tram"]
    assert len(set(sheet.colours.values())) == 3
    page = render(sheet)
    for at in (1, 2, 3):
        assert f'id="show-{at}" checked' in page
        assert f"body:has(#show-{at}:not(:checked)) .box.label-{at}" in page
        assert f'<g class="box label-{at}">' in page


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        ("kept", "kept"),
        ("not-modified", "nothing-new"),
        ("near-duplicate", "dropped"),
        ("timed-out", "failed"),
        ("disk-low", "failed"),
    ],
)
def test_outcome_has_one_of_four_kinds(outcome: str, kind: str) -> None:
    assert classify(outcome) == kind


def test_box_is_drawn_where_it_was_found() -> None:
    page = render(_sheet(_camera(_image("quai-1", "car"))))
    assert 'viewBox="0 0 64 48"' in page
    assert 'x="5.0" y="7.0" width="10.0" height="20.0"' in page
    assert "<title>car, 88 % (yolox)</title>" in page


def test_card_without_pixels_says_why() -> None:
    cards = (_card(ImageState.AWAITING_MODEL), _card(ImageState.QUARANTINED, "a face is left"))
    page = render(_sheet(_camera(*cards)))
    assert "<strong>waiting for a model</strong>" in page
    assert "<strong>quarantined</strong><span>a face is left</span>" in page
    assert "data:image" not in page


def test_times_are_local_with_utc_beside_them(in_lyon: None) -> None:
    page = render(_sheet(_camera(_image("quai-1"))))
    assert 'title="2026-11-21 12:00:00 UTC">Sat 21 Nov 2026, 13:00:00 CET</time>' in page


def test_hostile_words_stay_words() -> None:
    images = (_image("quai-1", HOSTILE), _card(ImageState.QUARANTINED, HOSTILE))
    wanted = ImageFilter(camera=HOSTILE, label=HOSTILE)
    page = render(_sheet(_camera(*images, words=HOSTILE), wanted=wanted, polls={HOSTILE: 1}))
    parsed = Page(page)
    assert parsed.tags.count("script") == parsed.tags.count("style") == 1
    assert "img" not in parsed.tags
    assert parsed.handlers == []
    assert "{{ 7 * 7 }}" in page


def test_page_loads_nothing() -> None:
    loaded = Page(render(_sheet(_camera(_image("quai-1", "car"))))).loaded
    assert "data:image/jpeg;base64,/9j/" in loaded
    assert all(target.startswith(("#", "data:")) for target in loaded)


def test_page_allows_its_own_script_alone() -> None:
    page = render(_sheet())
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page


def test_opened_image_leads_to_its_neighbours_with_pixels() -> None:
    images = (_image("quai-1"), _card(ImageState.STORED), _image("quai-2"))
    page = render(_sheet(_camera(*images)))
    assert re.findall(r'class="(previous|next)" href="#image-([^"]+)"', page) == [
        ("next", "quai-2"),
        ("previous", "quai-1"),
    ]


def test_deleted_images_are_told_of() -> None:
    assert "1 deleted while this sheet was made" in render(_sheet(gone=1))


def test_empty_sheet_says_so() -> None:
    sheet = _sheet(matching=0)
    assert describe_filter(sheet) == "all 0 images"
    assert "No images here yet." in render(sheet)

"""What a person sees of it in a browser: the image, our boxes on it, a correction's way back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from pipeline.annotations import CLASSES
from pipeline.records import Detections
from services.labeling.api import make_api, serving
from services.labeling.sets.exporting import ExportOptions, export
from services.labeling.webhook import Doorbell
from tests.browser import Drawn, StudioPages, open_browser
from tests.factories import Wanted
from tests.label_studio import StudioServer
from tests.round_trip import RoundTrip, open_trip
from tests.street import VERSION, Street, make_street

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

STREET = Street(camera=11, frame=26, least_px=40)
SEEN_WITHIN_PX = 2.0
EXPORTED_WITHIN_PX = 1.0
PAINTED = 100  # of 255


@pytest.fixture
def trip(tmp_path: Path, studio_server: StudioServer) -> Iterator[RoundTrip]:
    """As embedded: images are shown by our own server."""
    with open_trip(tmp_path, studio_server) as trip:
        api = make_api(trip.settings, trip.workspace.store, Doorbell(lambda _: None))
        with serving(api, "127.0.0.1", 0) as port:
            trip.set(images_url=f"http://127.0.0.1:{port}")
            yield trip


@pytest.fixture
def street(trip: RoundTrip) -> Detections:
    """A street that was sent to be labelled."""
    found = make_street(trip.workspace, STREET, Wanted())
    trip.push()
    assert trip.reason == ""
    return found


@pytest.fixture
def pages(studio_server: StudioServer) -> Iterator[StudioPages]:
    with open_browser() as page:
        pages = StudioPages(page, studio_server.url)
        pages.sign_in(studio_server.username, studio_server.password)
        yield pages


def test_boxes_lie_on_the_image_and_a_correction_is_in_the_set(
    trip: RoundTrip, street: Detections, pages: StudioPages, tmp_path: Path
) -> None:
    pages.open_task(*find_task(trip, street))
    assert pages.image_size() == (street.width, street.height)
    predicted = pages.boxes()
    assert_same(predicted.values(), expect(street), SEEN_WITHIN_PX)
    assert min(box.opacity for box in predicted.values()) > PAINTED
    pages.shoot("predicted")

    dragged, renamed = find_open(predicted, "person"), find_open(predicted, "car")
    pages.drag_corner(dragged, by_px=(24, -16))
    pages.give_label(renamed, "truck")
    shown = pages.boxes()
    pages.shoot("corrected")
    person, before = shown.pop(dragged), predicted.pop(dragged)
    moved = (before.x1, before.y1, before.x2 + 24, before.y2 - 16)
    assert person.corners == pytest.approx(moved, abs=3)
    truck, car = shown.pop(renamed), predicted.pop(renamed)
    assert truck.label == "truck"
    assert truck.corners == pytest.approx(car.corners, abs=0.1)
    assert_same(shown.values(), predicted.values(), 0.1)
    pages.submit()

    trip.follow()
    [revision] = trip.revisions(street.provenance.id)
    assert (revision.status, revision.author) == ("labelled", "traboule@localhost")
    assert revision.origin.from_prediction == VERSION
    exported = export_yolo(trip, tmp_path / "set", street)
    assert_same(exported, [person, truck, *shown.values()], EXPORTED_WITHIN_PX)


def test_labeling_stream_shows_the_object_detectors_boxes(
    trip: RoundTrip, street: Detections, pages: StudioPages
) -> None:
    """Of the two models that looked: the last one found no face."""
    assert [model.name for model in street.models] == ["yolox-nano", "yunet"]
    project, _ = find_task(trip, street)
    pages.label_all(project)
    assert_same(pages.boxes().values(), expect(street), SEEN_WITHIN_PX)
    pages.shoot("stream")


def find_task(trip: RoundTrip, street: Detections) -> tuple[int, int]:
    """The numbers of its project and its task."""
    with trip.context.connection.session() as connected:
        assert connected is not None
        row = trip.workspace.catalog.labeling.get(connected.key, street.provenance.id)
        assert row is not None and row.task_id is not None
        return connected.project.id, row.task_id


def expect(street: Detections) -> list[Drawn]:
    boxes = ((one.label, one.box) for one in street.detections)
    return [Drawn(label, box.x1, box.y1, box.x2, box.y2) for label, box in boxes]


def find_open(boxes: Mapping[str, Drawn], label: str) -> str:
    """One of the label's regions that can be clicked on: no other lies over its middle."""
    return next(
        region
        for region, box in boxes.items()
        if box.label == label and sum(one.holds(box.middle) for one in boxes.values()) == 1
    )


def export_yolo(trip: RoundTrip, folder: Path, street: Detections) -> list[Drawn]:
    """The one image's boxes as its label file has them."""
    export(trip.workspace.store, [street.provenance.id], folder, ExportOptions())
    [file] = folder.rglob(f"{street.provenance.id}.txt")
    boxes = []
    for line in file.read_text().splitlines():
        number, *place = line.split()
        x, y, width, height = map(float, place)
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        sizes = (street.width, street.height) * 2
        pixels = [part * size for part, size in zip(corners, sizes, strict=True)]
        boxes.append(Drawn(CLASSES[int(number)], *pixels))
    return boxes


def assert_same(found: Iterable[Drawn], expected: Iterable[Drawn], within_px: float) -> None:
    """One for one, with the same labels."""
    left = list(found)
    for box in expected:
        same = [
            one
            for one in left
            if one.label == box.label and one.corners == pytest.approx(box.corners, abs=within_px)
        ]
        assert same, f"no {box} among {left}"
        left.remove(same[0])
    assert left == []

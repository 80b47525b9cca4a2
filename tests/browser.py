"""A real browser for tests, Debian's Chromium driven by Playwright, and Label Studio's pages in it.

    with open_browser() as page:
        pages = StudioPages(page, server.url)
        pages.sign_in(server.username, server.password)
        pages.open_task(project, task)
        pages.boxes()                       # as they are drawn, in pixels of the image

With TRABOULE_TEST_SCREENSHOTS naming a folder, shoot() leaves pictures there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright", reason="no Playwright: pip install playwright")

from playwright.sync_api import Page, sync_playwright
from playwright.sync_api import TimeoutError as Late

CHROMIUM = Path("/usr/bin/chromium")
WITHIN_S = 90.0  # whatever is waited for, on a machine that does much else
FLAGS = (
    "--no-sandbox",  # tests may be root's, which Chromium's sandbox refuses
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)

# The image and all regions are there, the canvas lies on the image, and nothing moves any more:
# it is laid out several times.
_SETTLED = """() => {
  const [image] = document.querySelectorAll("img[alt=image]");
  const regions = window.Htx?.annotationStore?.selected?.regions ?? [];
  const stage = regions[0]?.object.stageRef;
  if (!image?.complete || !image.naturalWidth || !stage) return false;
  const shapes = regions.map((region) => stage.findOne((node) => node.hasName(region.id)));
  if (!shapes.every((shape) => shape)) return false;
  const [below, above] = [image, stage.container()].map((one) => one.getBoundingClientRect());
  const off = ["x", "y", "width", "height"].map((side) => Math.abs(below[side] - above[side]));
  const seen = JSON.stringify([below, above, shapes.map((shape) => shape.getClientRect())]);
  window.same = seen === window.seen && Math.max(...off) < 1 ? (window.same ?? 0) + 1 : 0;
  window.seen = seen;
  return window.same >= 5;
}"""

# Where each region is drawn, in pixels of the window, and how opaque its edges are there, 0 to 255.
_READ_BOXES = """() => window.Htx.annotationStore.selected.regions.map((region) => {
  const stage = region.object.stageRef;
  const shape = stage.findOne((node) => node.hasName(region.id));
  const { x, y, width, height } = shape.getClientRect({ skipStroke: true, skipShadow: true });
  const corner = stage.container().getBoundingClientRect();
  const canvas = shape.getLayer().getCanvas();
  const opacity = (across, down) => Math.max(...canvas.getContext("2d")._context.getImageData(
    (across - 1) * canvas.getPixelRatio(), (down - 1) * canvas.getPixelRatio(), 3, 3,
  ).data.filter((_, index) => index % 4 === 3));
  const edges = [
    [x + width / 2, y], [x + width / 2, y + height],
    [x, y + height / 2], [x + width, y + height / 2],
  ];
  return {
    id: region.cleanId, label: region.labels[0],
    x: corner.x + x, y: corner.y + y, width, height,
    opacity: Math.min(...edges.map((at) => opacity(...at))),
  };
})"""

_READ_IMAGE = """() => {
  const [image] = document.querySelectorAll("img[alt=image]");
  const { x, y, width, height } = image.getBoundingClientRect();
  return { x, y, width, height, wide: image.naturalWidth, high: image.naturalHeight };
}"""

_FIND_ANCHOR = """(name) => {
  const [region] = window.Htx.annotationStore.selected.regions;
  const stage = region.object.stageRef;
  const anchor = stage.findOne((node) => node.hasName("_anchor") && node.hasName(name));
  if (!anchor?.isVisible()) return null;
  const { x, y, width, height } = anchor.getClientRect();
  const corner = stage.container().getBoundingClientRect();
  return { x: corner.x + x + width / 2, y: corner.y + y + height / 2 };
}"""


@dataclass(frozen=True)
class Drawn:
    """A box as a person sees it: corners in pixels of the image as stored. `opacity` is that of its
    faintest edge, 0 to 255."""

    label: str
    x1: float
    y1: float
    x2: float
    y2: float
    opacity: float = 0

    @property
    def corners(self) -> tuple[float, float, float, float]:
        return (self.x1, self.y1, self.x2, self.y2)

    @property
    def middle(self) -> tuple[float, float]:
        return ((self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2)

    def holds(self, point: tuple[float, float]) -> bool:
        return self.x1 <= point[0] <= self.x2 and self.y1 <= point[1] <= self.y2


@contextmanager
def open_browser() -> Iterator[Page]:
    """A page of a browser that reaches this machine alone. Skips where there is none."""
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.set_default_timeout(WITHIN_S * 1000)
            yield page
        finally:
            browser.close()


class StudioPages:
    """Label Studio as a person uses it. Regions go by their ids, those that were predicted."""

    def __init__(self, page: Page, url: str) -> None:
        self._page = page
        self._url = url

    def sign_in(self, username: str, password: str) -> None:
        self._page.goto(f"{self._url}/user/login/")
        self._page.fill("input[name=email]", username)
        self._page.fill("input[name=password]", password)
        self._page.press("input[name=password]", "Enter")
        self._page.wait_for_url(lambda url: "/login" not in url)

    def open_task(self, project: int, task: int) -> None:
        self._page.goto(f"{self._url}/projects/{project}/data?task={task}")
        try:
            self._settle(within_s=WITHIN_S / 2)
        except Late:  # seen once, on a busy machine; a person reloads the page
            self._page.reload()
            self._settle()

    def label_all(self, project: int) -> None:
        """The labeling stream: one task after the other."""
        self._page.goto(f"{self._url}/projects/{project}/data")
        self._page.get_by_role("button", name="Label All Tasks").click()
        self._settle()

    def image_size(self) -> tuple[int, int]:
        """As the browser decoded it."""
        image = self._page.evaluate(_READ_IMAGE)
        return image["wide"], image["high"]

    def boxes(self) -> dict[str, Drawn]:
        """As they are drawn over the image, wherever that is in the window."""
        return {one["id"]: self._place(one) for one in self._page.evaluate(_READ_BOXES)}

    def drag_corner(self, region: str, by_px: tuple[float, float]) -> None:
        """Its lower right one, so many pixels of the image."""
        self.select(region)
        held = self._page.wait_for_function(_FIND_ANCHOR, arg="bottom-right").json_value()
        scale, before = self._scale, self.boxes()[region]
        mouse = self._page.mouse
        mouse.move(held["x"], held["y"])
        mouse.down()
        mouse.move(held["x"] + by_px[0] * scale, held["y"] + by_px[1] * scale, steps=8)
        mouse.up()
        self._settle()
        assert self.boxes()[region] != before, "it was not dragged"

    def give_label(self, region: str, label: str) -> None:
        self.select(region)
        self._page.locator(".lsf-label", has_text=label).first.click()
        self._page.wait_for_function(
            "([id, label]) => window.Htx.annotationStore.selected.regions"
            ".find((region) => region.cleanId === id).labels[0] === label",
            arg=[region, label],
        )
        self._settle()

    def select(self, region: str) -> None:
        """By a click in the middle of it."""
        (across, down), image = self.boxes()[region].middle, self._page.evaluate(_READ_IMAGE)
        self._page.mouse.click(image["x"] + across * self._scale, image["y"] + down * self._scale)
        self._page.wait_for_function(
            "(id) => window.Htx.annotationStore.selected.regions"
            ".find((region) => region.cleanId === id).selected",
            arg=region,
        )

    def submit(self) -> None:
        """Until Label Studio has taken it."""
        with self._page.expect_response(
            lambda answer: answer.request.method == "POST" and "/annotations" in answer.url
        ) as taken:
            self._page.get_by_role("button", name="Submit current annotation").click()
        assert taken.value.status == 201

    def _settle(self, within_s: float = WITHIN_S) -> None:
        self._page.evaluate("() => { window.same = 0; }")
        self._page.wait_for_function(_SETTLED, polling=100, timeout=within_s * 1000)

    def shoot(self, name: str) -> None:
        if folder := os.environ.get("TRABOULE_TEST_SCREENSHOTS"):
            self._page.screenshot(path=Path(folder) / f"{name}.png")

    @property
    def _scale(self) -> float:
        """Pixels of the window for one of the image."""
        image = self._page.evaluate(_READ_IMAGE)
        return float(image["width"] / image["wide"])

    def _place(self, box: Mapping[str, Any]) -> Drawn:
        image = self._page.evaluate(_READ_IMAGE)
        across, down = image["wide"] / image["width"], image["high"] / image["height"]
        x1, y1 = (box["x"] - image["x"]) * across, (box["y"] - image["y"]) * down
        x2, y2 = x1 + box["width"] * across, y1 + box["height"] * down
        return Drawn(box["label"], x1, y1, x2, y2, box["opacity"])

"""The command beside the services of `docker compose`: real servers, `cli`'s own rights on each.

Scheduler and maintenance run as processes of their own and carry out what it asks.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from PIL import Image

from pipeline import keys
from pipeline.cadence import utc_now
from pipeline.catalog import open_catalog
from pipeline.settings import PipelineSettings
from pipeline.storage import open_store
from services.simulation.city import City
from services.simulation.server import serve
from tests.factories import MORNING, Wanted, draw_jpeg, make_image
from tests.integration.init_stack import ROOT, Stack, start_stack
from tests.waiting import wait_until
from traboule.workspace import Workspace

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

PIECES = ("broker", "store", "catalog")


@dataclass(frozen=True)
class Ran:
    status: int
    data: bytes
    err: str

    @property
    def out(self) -> str:
        return self.data.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.data)


@dataclass(frozen=True)
class Composed:
    """`known` is the workspace as upkeep has it, which may do anything but send messages."""

    stack: Stack
    known: Workspace

    def environment(self, service: str) -> dict[str, str]:
        stack = self.stack
        urls = (stack.broker_url, stack.store_url, stack.catalog_url)
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {
            **inherited,
            **{
                f"PIPELINE_{piece.upper()}_URL": url(service)
                for piece, url in zip(PIECES, urls, strict=True)
            },
            "PYTHONUTF8": "1",
            "COLUMNS": "200",
        }

    def run(self, *words: str, **changed: str) -> Ran:
        """`docker compose run --rm -T cli …`; no password is ever said."""
        ran = subprocess.run(
            [sys.executable, "-m", "traboule", *words],
            cwd=ROOT,
            env=self.environment("cli") | changed,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=180,
        )
        told = ran.stdout + ran.stderr
        assert self.stack.password("cli").encode() not in told
        return Ran(ran.returncode, ran.stdout, ran.stderr.decode())


@contextmanager
def working(composed: Composed, service: str, log: Path) -> Iterator[None]:
    """At work already: the command waits 20 s for what it asks."""
    healthy = log.with_suffix(".healthy")
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", f"services.{service}"],
            cwd=ROOT,
            env=composed.environment(service) | {"PIPELINE_HEALTH_FILE": str(healthy)},
            stdout=errors,
            stderr=errors,
        )
    try:
        wait_until(healthy.exists, 180, f"{service} is ready")
        yield
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    with start_stack(tmp_path_factory.mktemp("secrets")) as stack:
        stack.do("servers")
        settings = PipelineSettings(
            broker_url=stack.broker_url("cli"),
            store_url=stack.store_url("upkeep"),
            catalog_url=stack.catalog_url("upkeep"),
        )
        with closing(open_catalog(settings.catalog_url)) as catalog:
            yield Composed(
                stack, Workspace(None, settings, catalog, open_store(settings.store_url))
            )


@pytest.fixture(scope="module")
def composed(servers: Composed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """With scheduler and maintenance at work."""
    logs = tmp_path_factory.mktemp("logs")
    with (
        working(servers, "scheduler", logs / "scheduler"),
        working(servers, "maintenance", logs / "maintenance"),
    ):
        yield servers


class OneImage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = draw_jpeg(MORNING)
        self.send_response_only(200)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def camera_url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), OneImage) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/camera.jpg"
        server.shutdown()
        thread.join()


def make_present_image(composed: Composed, wanted: Wanted) -> str:
    """Of now: maintenance sweeps old frames away meanwhile, and what is long half-stored."""
    return make_image(composed.known, replace(wanted, at=utc_now().replace(microsecond=0)))


def listed(composed: Composed) -> set[str]:
    return {entry.key for entry in composed.known.store.list("")}


def test_cameras_are_added_paused_and_removed_by_the_scheduler(
    composed: Composed, camera_url: str
) -> None:
    ran = composed.run("cameras", "add", "quai", camera_url, "--every", "1h")
    assert (ran.status, ran.out, ran.err) == (0, "added quai: every 1h, anonymise\n", "")
    assert keys.source("quai") in listed(composed)
    assert composed.run("cameras", "pause", "quai").out == "quai is paused from now on\n"
    assert composed.run("cameras", "list", "--json").json[0]["paused"] is True
    assert composed.run("cameras", "remove", "quai", "--yes").status == 0
    assert composed.known.catalog.cameras.get("quai") is None
    assert keys.source("quai") not in listed(composed)


def test_a_trial_writes_nothing(composed: Composed, camera_url: str) -> None:
    composed.run("cameras", "add", "trial", camera_url, "--every", "1h")
    composed.run("cameras", "pause", "trial")
    before, counted = listed(composed), composed.known.catalog.counters.totals()
    tried = composed.run("cameras", "try", "trial", "--json")
    assert (tried.status, tried.json["outcome"]) == (0, "kept")
    assert listed(composed) == before
    assert composed.known.catalog.counters.totals() == counted
    assert composed.known.catalog.images.recent_looks("trial") == []


def test_an_image_is_erased_by_maintenance(composed: Composed) -> None:
    image = make_present_image(composed, Wanted(camera="erased"))
    ran = composed.run("images", "delete", image, "--yes", "--reason", "asked by letter")
    assert (ran.status, ran.out, ran.err) == (0, f"erased {image}\n", "")
    assert [key for key in listed(composed) if image in key] == [keys.tombstone(image)]
    assert composed.known.catalog.images.get(image) is None
    assert "asked by letter" in composed.run("images", "show", image).err


def test_a_drop_is_restored_by_maintenance(composed: Composed) -> None:
    image = make_present_image(composed, Wanted(camera="restored", state="dropped"))
    ran = composed.run("drops", "restore", image)
    assert (ran.status, ran.err) == (0, "")
    assert keys.frame(image) in listed(composed)
    assert "was restored already" in composed.run("drops", "restore", image).err


def test_what_cannot_be_done_is_told_before_it_is_asked(composed: Composed) -> None:
    kept = make_present_image(composed, Wanted(camera="told"))
    for words, complaint in (
        (("images", "delete", "told-20000101T000000Z-00000000", "--yes"), "no image"),
        (("drops", "restore", kept), "cannot be restored: it was kept"),
        (("cameras", "pause", "nobody"), "no camera 'nobody'"),
    ):
        ran = composed.run(*words)
        assert (ran.status, ran.out, ran.err.count("\n")) == (1, "", 1)
        assert complaint in ran.err


def test_an_image_still_in_raw_is_told_from_the_catalog(composed: Composed) -> None:
    image = make_present_image(composed, Wanted(camera="raw", state="stored"))
    shown = composed.run("images", "show", image, "--json")
    assert (shown.status, shown.json["state"]) == (0, "stored")
    assert shown.json["object"] == keys.frame(image)
    assert shown.json["provenance"]["sha256_received"]
    assert "raw pixels" in composed.run("images", "open", image, "--output", "-").err


def test_images_and_sheet_go_through_standard_output(composed: Composed, tmp_path: Path) -> None:
    image = make_present_image(composed, Wanted(camera="shown", labels={"car": 2}))
    picture = composed.run("images", "open", image, "--output", "-")
    assert picture.data == composed.known.store.get(keys.stored_image(image)).data
    assert Image.open(io.BytesIO(picture.data)).format == "JPEG"
    refused = composed.run("images", "open", image)
    assert refused.status == 1
    assert "docker compose run --rm cli images open" in refused.err
    page = composed.run("sheet", "--camera", "shown", "--output", "-")
    assert (page.status, page.err) == (0, "")
    assert page.out.startswith("<!doctype html>") and image in page.out
    assert "--output - > sheet.html" in composed.run("sheet").err


def test_doctor_finds_servers_and_services_well(composed: Composed) -> None:
    ran = composed.run("doctor", "--json")
    checks = {check["name"]: check for check in ran.json}
    assert ran.status == 0, checks
    for name in ("broker", "queues", "object store", "catalog", "maintenance"):
        assert checks[name]["status"] == "ok", checks[name]
    assert "catalog and store" in checks
    assert "data folder" not in checks


def test_status_tells_stages(composed: Composed) -> None:
    make_present_image(composed, Wanted(camera="status"))
    status = composed.run("status", "--json").json
    assert (status["data"], status["live"]) == (None, None)
    assert status["images"]["detected"] >= 1
    assert "polling" in status


def test_summary_waits_for_what_is_detected(composed: Composed) -> None:
    make_present_image(composed, Wanted(camera="counted"))
    ran = composed.run("summary", "--wait", "1")
    assert ran.status == 0
    assert "docker compose run --rm cli images list" in ran.out
    late = composed.run("summary", "--wait", "1000", "--timeout", "1s")
    assert late.status == 1
    assert "of 1000 images were detected within 1s" in late.err


def test_a_single_process_is_refused_beside_services(composed: Composed) -> None:
    for command in ("run", "simulate"):
        ran = composed.run(command)
        assert (ran.status, ran.out, ran.err.count("\n")) == (1, "", 1)
        assert "docker compose" in ran.err
    for command in ("list", "pull"):
        ran = composed.run("models", command)
        assert (ran.status, ran.out, ran.err.count("\n")) == (0, "", 1)
        assert "docker compose logs detection" in ran.err


def test_cameras_of_a_feed_are_saved_by_the_scheduler(composed: Composed) -> None:
    with serve(City(3), "127.0.0.1", 0) as city:
        there = {"SCHEDULER_SIMULATION_URL": city.url}
        ran = composed.run("cameras", "discover", "simulation", **there)
        assert (ran.status, ran.err) == (0, "3 added, 0 updated, 3 found\n")
        again = composed.run("cameras", "discover", "simulation", **there)
        assert again.err == "0 added, 0 updated, 3 found\n"
    known = {row.id for row in composed.known.catalog.cameras.all()}
    assert set(city.city.camera_ids) <= known


@pytest.mark.parametrize(
    ("piece", "name", "words"),
    [
        ("broker", "broker", ("images", "delete", "IMAGE", "--yes")),
        ("store", "object store", ("images", "show", "IMAGE")),
        ("catalog", "catalog", ("status",)),
    ],
)
def test_a_server_that_is_away_is_one_line_and_found_by_doctor(
    servers: Composed, piece: str, name: str, words: tuple[str, ...]
) -> None:
    image = make_present_image(servers, Wanted(camera="away"))
    variable = f"PIPELINE_{piece.upper()}_URL"
    url = servers.environment("cli")[variable]
    place = url.rpartition("@")[2].partition("/")[0]
    away = {variable: url.replace(place, "127.0.0.1:9")}
    ran = servers.run(*(image if word == "IMAGE" else word for word in words), **away)
    assert (ran.status, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert "127.0.0.1" in ran.err
    examined = servers.run("doctor", "--json", **away)
    (check,) = (check for check in examined.json if check["name"] == name)
    assert (examined.status, check["status"]) == (1, "fail")
    assert "docker compose" in check["what_to_do"]

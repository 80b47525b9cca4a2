"""`docker compose up` as a newcomer has it: nothing filled in, and everything works."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pipeline import keys
from tests.e2e.census import Census
from tests.e2e.execution import DETECT, ExecutionLog, kept_images, read_lines
from tests.e2e.happening import health
from tests.e2e.label_studio import LabelStudio
from tests.e2e.stack import WORKERS, Stack
from tests.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]  # building images, the first time

SERVERS = ("broker", "object-store", "catalog", "label-studio")
ONCE = ("secrets", "init")
CAMERAS = {"sim-1", "sim-2", "sim-3", "sim-4"}
IMAGES_WITHIN_S = 300.0
OBEYED_WITHIN_S = 120.0
LABELLED_WITHIN_S = 300.0  # the first contact, a pause where it came too early, a push
COMES_BACK_WITHIN_S = 180.0
NOTHING_TO_DO = "nothing to do"


def results(stack: Stack) -> set[str]:
    return stack.images_below(keys.DETECTIONS)


def wait_for_results(stack: Stack, count: int, beside: set[str] | None = None) -> set[str]:
    """New ones, beside those that there were."""
    before = beside or set()
    wait_until(
        lambda: len(results(stack) - before) >= count, IMAGES_WITHIN_S, f"{count} images detected"
    )
    return results(stack) - before


def ask(stack: Stack, *arguments: str) -> Any:
    told = stack.run(*arguments, "--json")
    assert told.status == 0, told.err
    return json.loads(told.out)


def camera(stack: Stack, camera_id: str) -> dict[str, Any]:
    (found,) = [one for one in ask(stack, "cameras", "list") if one["id"] == camera_id]
    return dict(found)


def test_up_waits_until_all_is_healthy(stack: Stack) -> None:
    """The fixture has seen status 0."""
    for service in (*SERVERS, *WORKERS, "ml-backend", "simulation"):
        assert health(stack.container(service)) == "healthy", service
    for service in ONCE:
        state = stack.container(service).attrs["State"]
        assert (state["Status"], state["ExitCode"]) == ("exited", 0)


def test_simulated_city_is_discovered_polled_and_detected(stack: Stack) -> None:
    found = wait_for_results(stack, 6)
    assert {keys.source_of(image) for image in found} <= CAMERAS
    assert found <= stack.images_below(keys.IMAGES)


def test_cli_shows_what_there_is(stack: Stack) -> None:
    wait_for_results(stack, 1)
    listed = ask(stack, "images", "list", "--state", "detected", "--limit", "5")
    assert {one["id"] for one in listed} <= results(stack)
    assert {one["camera"] for one in listed} <= CAMERAS
    shown = {one["id"] for one in ask(stack, "status")["cameras"]}
    assert shown == CAMERAS
    told = stack.run("status")
    assert told.status == 0
    assert all(one in told.out for one in CAMERAS)


def test_doctor_finds_nothing_wrong(stack: Stack) -> None:
    checks = ask(stack, "doctor")
    assert [check for check in checks if check["status"] == "fail"] == []
    found = {check["name"]: check["status"] for check in checks}
    assert found["catalog and store"] == found["broker"] == found["object store"] == "ok"


def test_camera_is_paused_and_resumed_by_a_message(stack: Stack) -> None:
    assert not camera(stack, "sim-1")["paused"]
    assert stack.run("cameras", "pause", "sim-1").status == 0
    wait_until(lambda: camera(stack, "sim-1")["paused"], OBEYED_WITHIN_S, "sim-1 is paused")
    assert stack.run("cameras", "resume", "sim-1").status == 0
    wait_until(lambda: not camera(stack, "sim-1")["paused"], OBEYED_WITHIN_S, "sim-1 goes on")


def test_second_init_changes_nothing(stack: Stack) -> None:
    secrets = stack.secrets()
    told = stack.compose("run", "--rm", "-T", "init")
    assert told.out.splitlines()[-1:] == [NOTHING_TO_DO]
    assert len(told.out.splitlines()) == 1
    assert stack.secrets() == secrets


def test_scaled_services_share_the_work(stack: Stack) -> None:
    before = results(stack)
    stack.up("--scale", "detection=3", "--scale", "capture=2")
    assert len(stack.containers("detection")) == 3
    log = ExecutionLog(stack)
    try:
        wait_until(lambda: _busy(stack, "detection", _detects) > 1, IMAGES_WITHIN_S, "2 detect")
        wait_until(lambda: _busy(stack, "capture", kept_images) > 1, IMAGES_WITHIN_S, "2 capture")
        new = wait_for_results(stack, 12, beside=before)
        Census(stack, log).count_repeats(new, since=0)  # none without a reason
        kept = [line.get("image") for line in log.read("capture") if line.get("outcome") == "kept"]
        assert len(set(kept)) == len(kept)
    finally:
        stack.up("--scale", "detection=1", "--scale", "capture=1")


def test_images_are_labelled_in_label_studio_and_come_back(stack: Stack) -> None:
    studio = LabelStudio(stack)
    wait_until(studio.tasks, LABELLED_WITHIN_S, "a labeling task")
    task = studio.tasks()[0]
    shown = studio.show(task)
    assert (shown.status_code, shown.headers["Content-Type"]) == (200, "image/jpeg")
    image = task["data"]["image_id"]
    assert shown.content == stack.store().get(keys.stored_image(image)).data
    studio.ask("POST", f"/api/tasks/{task['id']}/annotations/", {"result": []}, expected=201)
    prefix = f"{keys.ANNOTATIONS}{image}/"
    wait_until(lambda: list(stack.store().list(prefix)), COMES_BACK_WITHIN_S, "the annotation")


def test_label_studio_may_ask_labeling_and_not_itself(stack: Stack) -> None:
    """Our webhook is there, beside the one that it makes itself for an ML backend; what is on
    loopback stays refused."""
    studio = LabelStudio(stack)
    wait_until(studio.tasks, LABELLED_WITHIN_S, "a labeling task")
    places = {hook["url"] for hook in studio.ask("GET", "/api/webhooks/")}
    assert places == {
        "http://labeling.internal:8300/webhook",
        "http://ml-backend.internal:8301/webhook",
    }
    refused = {"url": "http://127.0.0.1:8080/", "send_payload": True}
    studio.ask("POST", "/api/webhooks/", refused, expected=403)


def test_down_then_up_continues(stack: Stack) -> None:
    before, secrets = results(stack), stack.secrets()
    stack.down()
    assert stack.containers("capture") == []
    stack.up()
    assert stack.secrets() == secrets
    assert stack.container("init").logs().decode().splitlines() == [NOTHING_TO_DO]
    assert wait_for_results(stack, 4, beside=before)
    assert before <= results(stack)


def _busy(stack: Stack, service: str, work: Callable[..., set[str]]) -> int:
    """How many of a service's containers did some of the work."""
    return sum(bool(work(read_lines(service, one))) for one in stack.containers(service))


def _detects(lines: Any) -> set[str]:
    return {
        line.get("image")
        for line in lines
        if line.get("task") == DETECT and line.event == "detected"
    }

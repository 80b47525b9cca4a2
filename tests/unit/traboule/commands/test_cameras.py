from __future__ import annotations

import io
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from pipeline import keys
from pipeline.errors import TransientError
from pipeline.records import Camera
from services.scheduler.feeds import FEEDS
from tests.factories import MORNING, Wanted, draw_jpeg, make_camera, make_image
from tests.quiet_server import QuietServer
from tests.unit.traboule.conftest import Run, Stages
from traboule.workspace import Workspace

FOURVIERE = Camera(
    id="cwl7033", url="https://example.org/7033.jpg", name="Fourvière", feed="grandlyon"
)
SAONE = Camera(id="cwl5801", url="https://example.org/5801.jpg", name="Saône", feed="grandlyon")


class OneJpeg(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = draw_jpeg(MORNING)
        self.send_response(200 if self.path == "/camera.jpg" else 503)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def host() -> Iterator[str]:
    with QuietServer(OneJpeg) as server:
        yield server.url


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> list[Camera]:
    """What Grand Lyon's list holds, for a test to change."""
    listed = [FOURVIERE, SAONE]
    monkeypatch.setitem(FEEDS, "grandlyon", lambda _: list(listed))
    return listed


def saved(workspace: Workspace, camera_id: str) -> Camera:
    row = workspace.catalog.cameras.get(camera_id)
    assert row is not None
    return Camera.model_validate(row.record)


def test_discover_adds_a_feeds_cameras(run: Run, workspace: Workspace, feed: list[Camera]) -> None:
    ran = run("cameras", "discover", "grandlyon", "--json")
    assert [(one["id"], one["change"]) for one in ran.json] == [
        ("cwl7033", "added"),
        ("cwl5801", "added"),
    ]
    assert saved(workspace, "cwl7033") == FOURVIERE
    assert ran.err == "2 added, 0 updated, 2 found\n"


def test_discover_takes_no_more_than_the_limit(
    run: Run, workspace: Workspace, feed: list[Camera]
) -> None:
    assert run("cameras", "discover", "grandlyon", "--limit", "1").status == 0
    assert [row.id for row in workspace.catalog.cameras.all()] == ["cwl7033"]


def test_discover_again_keeps_what_the_user_set(
    run: Run, workspace: Workspace, feed: list[Camera]
) -> None:
    run("cameras", "discover", "grandlyon")
    run("cameras", "pause", "cwl7033")
    feed[0] = FOURVIERE.model_copy(update={"name": "Fourvière sud", "url": "https://b.org/1.jpg"})
    ran = run("cameras", "discover", "grandlyon", "--json")
    assert [one["change"] for one in ran.json] == ["updated", "unchanged"]
    camera = saved(workspace, "cwl7033")
    assert (camera.name, camera.url, camera.paused) == (
        "Fourvière sud",
        "https://b.org/1.jpg",
        True,
    )


def test_discover_leaves_a_camera_of_the_users_own_alone(
    run: Run, workspace: Workspace, feed: list[Camera]
) -> None:
    mine = make_camera(workspace, "cwl7033", feed="manual")
    ran = run("cameras", "discover", "grandlyon")
    assert "left alone" in ran.out
    assert saved(workspace, "cwl7033") == mine


def test_discover_of_an_unknown_feed_names_those_there_are(run: Run) -> None:
    ran = run("cameras", "discover", "paris")
    assert ran.status == 1
    assert ran.err == f"traboule: no feed 'paris'; there are: {', '.join(sorted(FEEDS))}\n"


def test_discover_of_a_feed_out_of_reach_is_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> list[Camera]:
        raise TransientError("Grand Lyon's list of cameras cannot be had: no answer")

    monkeypatch.setitem(FEEDS, "grandlyon", fail)
    ran = run("cameras", "discover", "grandlyon")
    assert ran.status == 1
    assert ran.err == "traboule: Grand Lyon's list of cameras cannot be had: no answer\n"


def test_list_of_no_cameras_says_how_to_add_some(run: Run, workspace: Workspace) -> None:
    ran = run("cameras", "list")
    assert (ran.status, ran.out) == (0, "")
    assert "traboule cameras discover grandlyon" in ran.err


def test_list_tells_settings_and_the_last_outcome(run: Run, workspace: Workspace) -> None:
    make_camera(workspace, "quai", every_s=300.0, policy="keep")
    [camera] = run("cameras", "list", "--json").json
    assert camera["id"] == "quai"
    assert camera["every_s"] == 300.0
    assert camera["policy"] == "keep"
    assert camera["detectors"] == ["yunet", "yolox-nano"]
    assert (camera["outcome"], camera["time"], camera["paused"]) == (None, None, False)
    assert "5m" in run("cameras", "list").out


def test_add_saves_what_was_said(run: Run, workspace: Workspace) -> None:
    ran = run(
        *("cameras", "add", "rue-victor-hugo", "https://example.org/a.jpg"),
        *("--every", "20s", "--policy", "keep", "--licence", "CC0", "--attribution", "Me"),
        *("--name", "Rue", "--detectors", "haar, moving-object"),
        *("--near-duplicate-distance", "-1", "--keep-truncated"),
    )
    assert (ran.status, ran.out) == (0, "added rue-victor-hugo: every 20s, keep\n")
    assert saved(workspace, "rue-victor-hugo") == Camera(
        id="rue-victor-hugo",
        url="https://example.org/a.jpg",
        name="Rue",
        every_s=20.0,
        policy="keep",
        licence="CC0",
        attribution="Me",
        detectors=("haar", "moving-object"),
        near_duplicate_distance=-1,
        keep_truncated=True,
    )
    assert workspace.store.exists(keys.source("rue-victor-hugo"))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("Rue_Hugo", "https://example.org/a.jpg"), "'Rue_Hugo'"),
        (("a" * 65, "https://example.org/a.jpg"), "at most 64"),
        (("rue", "example.org/a.jpg"), "no address"),
        (("rue", "file:///etc/passwd"), "no address"),
        (("rue", "http://[::1/a.jpg"), "no address"),
        (("rue", "http://a.org:99999/a.jpg"), "no address"),
        (("rue", "https://example.org/a.jpg", "--every", "20"), "such as 20s"),
        (
            ("rue", "https://example.org/a.jpg", "--every", "1.9s"),
            "at least 2s, for cameras are looked at once a second",
        ),
        (("rue", "https://example.org/a.jpg", "--policy", "blur"), "anonymise"),
        (("rue", "https://example.org/a.jpg", "--detectors", "yolo9"), "moving-object"),
        (("rue", "https://example.org/a.jpg", "--detectors", ","), "moving-object"),
        (
            ("rue", "https://example.org/a.jpg", "--near-duplicate-distance", "65"),
            "near-duplicate-distance",
        ),
    ],
)
def test_add_refuses_what_makes_no_camera(
    run: Run, workspace: Workspace, arguments: tuple[str, ...], complaint: str
) -> None:
    ran = run("cameras", "add", *arguments)
    assert ran.status == 2
    assert complaint in ran.err
    assert not workspace.catalog.cameras.all()


def test_add_does_not_replace_a_camera(run: Run, workspace: Workspace) -> None:
    known = make_camera(workspace, "quai")
    ran = run("cameras", "add", "quai", "https://example.org/a.jpg")
    assert ran.status == 1
    assert "there is a camera 'quai' already" in ran.err
    assert saved(workspace, "quai") == known


def test_pause_and_resume_change_the_camera(run: Run, workspace: Workspace) -> None:
    make_camera(workspace, "quai")
    assert run("cameras", "pause", "quai").out == "quai is paused from now on\n"
    assert saved(workspace, "quai").paused
    assert run("cameras", "pause", "quai").out == "quai is paused already\n"
    assert run("cameras", "resume", "quai").out == "quai is polled from now on\n"
    assert not saved(workspace, "quai").paused


@pytest.mark.parametrize("command", ["pause", "resume", "remove", "try"])
def test_an_unknown_camera_is_one_line(run: Run, workspace: Workspace, command: str) -> None:
    ran = run("cameras", command, "nobody")
    assert (ran.status, ran.err) == (
        1,
        "traboule: no camera 'nobody'; see: traboule cameras list\n",
    )


def test_remove_leaves_the_images(run: Run, workspace: Workspace) -> None:
    make_camera(workspace)
    image = make_image(workspace, Wanted())
    assert run("cameras", "remove", "quai-saone", "--yes").status == 0
    assert workspace.catalog.cameras.get("quai-saone") is None
    assert not workspace.store.exists(keys.source("quai-saone"))
    assert workspace.store.exists(keys.stored_image(image))


@pytest.mark.parametrize(("answer", "removed"), [("y\n", True), ("n\n", False), ("", False)])
def test_remove_asks_first(
    run: Run,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    removed: bool,
) -> None:
    make_camera(workspace)
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    ran = run("cameras", "remove", "quai-saone")
    assert ran.status == (0 if removed else 1)
    assert (workspace.catalog.cameras.get("quai-saone") is None) == removed


def test_try_says_what_would_become_of_the_image(run: Run, workspace: Workspace, host: str) -> None:
    make_camera(workspace, url=f"{host}/camera.jpg")
    tried = run("cameras", "try", "quai-saone", "--json").json
    assert tried["outcome"] == "kept"
    assert tried["bytes"] == len(draw_jpeg(MORNING))
    assert (tried["width"], tried["height"]) == (320, 240)
    assert tried["headers"]["content-type"] == "image/jpeg"
    assert len(tried["sha256"]) == 64
    assert tried["sha256"] in run("cameras", "try", "quai-saone").out


def test_try_saves_nothing(run: Run, workspace: Workspace, host: str) -> None:
    make_camera(workspace, url=f"{host}/camera.jpg")
    before = [entry.key for entry in workspace.store.list("")]
    run("cameras", "try", "quai-saone")
    assert [entry.key for entry in workspace.store.list("")] == before
    assert workspace.catalog.images.count_by_state() == {}
    assert workspace.catalog.counters.totals() == {}


def test_try_knows_the_bytes_of_an_image_we_have(run: Run, workspace: Workspace, host: str) -> None:
    make_camera(workspace, url=f"{host}/camera.jpg")
    image = make_image(workspace, Wanted(at=MORNING))
    tried = run("cameras", "try", "quai-saone", "--json")
    assert (tried.status, tried.json["outcome"]) == (0, "same-bytes")
    assert tried.json["resembles"] == image


def test_try_of_a_camera_that_fails_is_status_1(run: Run, workspace: Workspace, host: str) -> None:
    make_camera(workspace, url=f"{host}/down.jpg")
    tried = run("cameras", "try", "quai-saone", "--json")
    assert (tried.status, tried.json["outcome"]) == (1, "http-error")
    assert "503" in tried.json["reason"]


def test_commands_go_to_the_scheduler_where_it_is_elsewhere(
    run_composed: Run, stages: Stages, workspace: Workspace
) -> None:
    assert run_composed("cameras", "add", "quai", "https://example.org/a.jpg").status == 0
    assert run_composed("cameras", "pause", "quai").out == "quai is paused from now on\n"
    assert saved(workspace, "quai").paused
    assert run_composed("cameras", "remove", "quai", "--yes").status == 0
    assert workspace.catalog.cameras.get("quai") is None
    sent = [type(message).__name__ for message in stages.sent]
    assert sent == ["SaveCamera", "SaveCamera", "RemoveCamera"]


def test_what_a_sleeping_scheduler_was_asked_for_is_not_said_to_be_done(
    run_composed: Run, stages: Stages
) -> None:
    stages.asleep = True
    ran = run_composed("cameras", "add", "quai", "https://example.org/a.jpg")
    assert (ran.status, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert ran.err.startswith("traboule: asked, not carried out yet: scheduler is to save quai")
    assert len(stages.sent) == 1


def test_no_cameras_in_a_container_is_the_schedulers_affair(run_composed: Run) -> None:
    assert "docker compose logs scheduler" in run_composed("cameras", "list").err

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import FetchError, UserError
from pipeline.fetch import FetchLimits
from pipeline.records import Outcome
from services.labeling.fetching.files import StudioFiles
from services.labeling.fetching.session import Patience, PatientSession
from services.labeling.studio.failures import (
    ProjectMissing,
    StudioRefused,
    StudioUnavailable,
)
from tests.studio_stand_in import LEGACY_TOKEN, PERSONAL_TOKEN, StandIn, stand_in_studio

LIMITS = FetchLimits(deadline_s=60, max_bytes=1_000_000)


@pytest.fixture
def studio() -> Iterator[StandIn]:
    with stand_in_studio() as made:
        made.tasks[2] = []
        yield made


@pytest.fixture
def elsewhere() -> Iterator[StandIn]:
    with stand_in_studio() as made:
        yield made


@pytest.fixture
def session() -> Iterator[PatientSession]:
    made = PatientSession(LIMITS, Patience(sleep=lambda wait_s: None))
    yield made
    made.close()


def open_files(studio: StandIn, session: PatientSession, token: str = LEGACY_TOKEN) -> StudioFiles:
    return StudioFiles(studio.url, lambda: token, session)


@pytest.mark.parametrize("token", [LEGACY_TOKEN, PERSONAL_TOKEN])
def test_both_kinds_of_token_open_the_api_and_files(
    studio: StandIn, session: PatientSession, token: str
) -> None:
    studio.private["/data/upload/2/a.jpg"] = b"pixels"
    files = open_files(studio, session, token)
    assert files.get_json("/api/projects/2/") == {}
    assert files.download(f"{studio.url}/data/upload/2/a.jpg") == b"pixels"
    assert studio.paths().count("/api/token/refresh/") == (1 if token == PERSONAL_TOKEN else 0)


def test_access_that_ended_is_renewed(studio: StandIn, session: PatientSession) -> None:
    files = open_files(studio, session, PERSONAL_TOKEN)
    files.get_json("/api/projects/2/")
    studio.access.clear()
    files.get_json("/api/projects/2/")
    assert studio.paths().count("/api/token/refresh/") == 2


def test_token_that_is_changed_in_its_file_is_taken(
    studio: StandIn, session: PatientSession
) -> None:
    tokens = iter(["0" * 40, LEGACY_TOKEN])
    files = StudioFiles(studio.url, lambda: next(tokens), session)
    assert files.get_json("/api/projects/2/") == {}


@pytest.mark.parametrize("token", ["0" * 40, PERSONAL_TOKEN + "x"])
def test_refused_token_is_said_and_not_shown(
    studio: StandIn, session: PatientSession, token: str
) -> None:
    files = open_files(studio, session, token)
    for ask in (
        lambda: files.get_json("/api/projects/2/"),
        lambda: files.download(f"{studio.url}/data/upload/2/a.jpg"),
    ):
        with pytest.raises(
            StudioRefused, match=r"does not know the token|refuses the token"
        ) as caught:
            ask()
        assert token not in f"{caught.value!r} {caught.value}"
    assert len(studio.asked) <= 4  # no repetition changes it


def test_token_goes_to_no_other_server_and_to_no_redirect_target(
    studio: StandIn, elsewhere: StandIn, session: PatientSession
) -> None:
    elsewhere.public["/a.jpg"] = b"pixels"
    studio.redirects["/tasks/7/resolve/"] = f"{elsewhere.url}/a.jpg?X-Amz-Signature=1"
    studio.redirects["/data/upload/2/a.jpg"] = "/public/a.jpg"
    studio.public["/public/a.jpg"] = b"pixels"
    files = open_files(studio, session)
    assert files.download(f"{studio.url}/tasks/7/resolve/?fileuri=x") == b"pixels"
    assert files.download(f"{elsewhere.url}/a.jpg") == b"pixels"
    assert [one.authorization for one in elsewhere.asked] == [None, None]
    assert files.download(f"{studio.url}/data/upload/2/a.jpg") == b"pixels"
    asked = {one.path: one.authorization for one in studio.asked}
    assert asked["/public/a.jpg"] is None
    assert asked["/data/upload/2/a.jpg"] == f"Token {LEGACY_TOKEN}"


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1.evil.example/",
        "https://127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "http://127.0.0.1:{port}@evil.example/",
        "http://me:sesame@127.0.0.1:{port}/",
        "http://[",
        "http://127.0.0.1:x/",
        "",
    ],
)
def test_only_the_very_server_is_its_own(
    studio: StandIn, session: PatientSession, address: str
) -> None:
    files = open_files(studio, session)
    assert not files.owns(address.format(port=studio.port))
    assert files.owns(f"HTTP://127.0.0.1:{studio.port}/a")


def test_public_studio_names_no_address_of_our_network(
    elsewhere: StandIn, session: PatientSession
) -> None:
    files = StudioFiles("https://labels.example.org", lambda: LEGACY_TOKEN, session)
    with pytest.raises(FetchError) as caught:
        files.download(f"{elsewhere.url}/a.jpg")
    assert caught.value.outcome is Outcome.FORBIDDEN_ADDRESS
    assert elsewhere.asked == []


def test_server_of_our_network_is_asked_only_where_it_is_named(
    studio: StandIn, elsewhere: StandIn, session: PatientSession
) -> None:
    studio.private["/data/upload/2/a.jpg"] = elsewhere.public["/a.jpg"] = b"pixels"
    studio.redirects["/tasks/7/resolve/"] = f"{elsewhere.url}/a.jpg"
    files = StudioFiles(studio.url, lambda: LEGACY_TOKEN, session, frozenset())
    assert files.download(f"{studio.url}/data/upload/2/a.jpg") == b"pixels"
    for address in (f"{elsewhere.url}/a.jpg", f"{studio.url}/tasks/7/resolve/"):
        with pytest.raises(FetchError) as caught:
            files.download(address)
        assert caught.value.outcome is Outcome.FORBIDDEN_ADDRESS
    assert elsewhere.asked == []
    named = frozenset({("127.0.0.1", elsewhere.port)})
    files = StudioFiles(studio.url, lambda: LEGACY_TOKEN, session, named)
    assert files.download(f"{studio.url}/tasks/7/resolve/") == b"pixels"
    assert [one.authorization for one in elsewhere.asked] == [None]


@pytest.mark.parametrize("target", ["/loop", "http://["])
def test_redirects_that_lead_nowhere_end(
    studio: StandIn, session: PatientSession, target: str
) -> None:
    studio.redirects["/loop"] = target
    with pytest.raises(FetchError):
        open_files(studio, session).download(f"{studio.url}/loop")
    assert len(studio.asked) <= 4


def test_missing_project_is_told_from_a_refusal(studio: StandIn, session: PatientSession) -> None:
    files = open_files(studio, session)
    with pytest.raises(ProjectMissing):
        files.get_json("/api/projects/9/")
    studio.script["/api/projects/9/export"] = [404]  # a page
    with pytest.raises(ProjectMissing):
        files.get_json("/api/projects/9/export")
    studio.script["/api/projects/2/"] = [403]
    with pytest.raises(StudioUnavailable, match="answered 403 with a page"):
        files.get_json("/api/projects/2/")


@pytest.mark.parametrize("token", [LEGACY_TOKEN, PERSONAL_TOKEN])
def test_long_answer_is_saved_with_a_token_that_is_renewed(
    studio: StandIn, session: PatientSession, tmp_path: Path, token: str
) -> None:
    long = bytes(LIMITS.max_bytes + 1)
    studio.private["/api/projects/2/export"] = long
    tokens = iter(["0" * 40, token])
    files = StudioFiles(studio.url, lambda: next(tokens), session)
    with (tmp_path / "file").open("wb") as file:
        files.save("/api/projects/2/export?exportType=YOLO", file)
    assert (tmp_path / "file").read_bytes() == long


@pytest.mark.parametrize("statuses", [[403], [204], [500], [401, 401]])
def test_export_that_is_none_is_not_asked_for_again(
    studio: StandIn, session: PatientSession, tmp_path: Path, statuses: list[int]
) -> None:
    times = len(statuses)
    studio.script["/api/projects/2/export"] = statuses
    with (tmp_path / "file").open("wb") as file, pytest.raises(StudioUnavailable):
        open_files(studio, session).save("/api/projects/2/export", file)
    assert len(studio.asked) == times
    assert (tmp_path / "file").read_bytes() == b""


def test_redirect_of_the_api_is_said_and_not_followed(
    studio: StandIn, elsewhere: StandIn, session: PatientSession
) -> None:
    studio.redirects["/api/projects/2/"] = f"{elsewhere.url}/api/projects/2/"
    with pytest.raises(StudioRefused, match="redirects to"):
        open_files(studio, session).get_json("/api/projects/2/")
    assert elsewhere.asked == []


def test_trouble_that_passes_is_waited_out(studio: StandIn, session: PatientSession) -> None:
    studio.script["/api/projects/2/"] = [503, 429, 502]
    assert open_files(studio, session).get_json("/api/projects/2/") == {}
    assert len(studio.asked) == 4


def test_trouble_that_lasts_is_unavailability(studio: StandIn, session: PatientSession) -> None:
    studio.script["/api/projects/2/"] = [503] * 9
    with pytest.raises(StudioUnavailable, match="answered 503"):
        open_files(studio, session).get_json("/api/projects/2/")
    with pytest.raises(StudioUnavailable):
        StudioFiles("http://127.0.0.1:9", lambda: LEGACY_TOKEN, session).get_json("/api/x")


def test_page_that_is_no_json_is_unavailability(studio: StandIn, session: PatientSession) -> None:
    studio.public["/api/projects/2/"] = b"<!doctype html>"
    with pytest.raises(StudioUnavailable, match="a page that is no answer"):
        open_files(studio, session).get_json("/api/projects/2/")


def test_address_is_one_of_a_browsers_line(session: PatientSession) -> None:
    files = StudioFiles("http://127.0.0.1:8080/projects/3/", lambda: LEGACY_TOKEN, session)
    assert files.url == "http://127.0.0.1:8080"
    with pytest.raises(UserError) as caught:
        StudioFiles("http://me:secret@labels.example", lambda: LEGACY_TOKEN, session)
    assert "secret" not in str(caught.value)


def test_nothing_shows_the_token(studio: StandIn, session: PatientSession) -> None:
    files = open_files(studio, session)
    files.get_json("/api/projects/2/")
    assert repr(files) == f"StudioFiles('{studio.url}')"


@pytest.mark.parametrize(
    "address",
    [
        "http://",
        "http:///a.jpg",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:-1/",
        "http://[::1/",
        "http://\x00/",
        "http://a b/",
        "http://xn--/",
        "http://*.example/",
        "http://" + "x" * 70 + ".localhost/",
        "ftp://127.0.0.1/",
        "//127.0.0.1/",
        "",
    ],
)
def test_address_that_is_none_is_a_failure_like_others(
    studio: StandIn, session: PatientSession, address: str
) -> None:
    with pytest.raises(FetchError):
        open_files(studio, session).download(address)


def test_credentials_in_an_address_are_for_its_host_alone(
    studio: StandIn, elsewhere: StandIn, session: PatientSession
) -> None:
    elsewhere.redirects["/a.jpg"] = f"{studio.url}/a.jpg"
    studio.public["/a.jpg"] = b"pixels"
    address = f"http://me:sesame@127.0.0.1:{elsewhere.port}/a.jpg"
    assert open_files(studio, session).download(address) == b"pixels"
    assert (elsewhere.asked[0].authorization or "").startswith("Basic ")
    assert studio.asked[0].authorization is None

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import pytest

from pipeline import keys
from pipeline.errors import StorageError, UserError
from pipeline.messages import Message
from pipeline.storage import FolderStore, StoredObject
from services.labeling.api import make_api, serving
from services.labeling.settings import LabelingSettings
from services.labeling.signed_images import make_secret, origin_of
from services.labeling.signing import sign, sign_address
from services.labeling.webhook import Doorbell
from tests.studio_stand_in import draw

IMAGE = "quai-saone-20261121T091640Z-8be14bda"
OTHER = "quai-saone-20261121T091641Z-8be14bdb"
SECRET = "of a long life"
STUDIO = "http://127.0.0.1:8080"


@dataclass(frozen=True)
class Shown:
    status: int
    content: bytes
    headers: dict[str, str]


@dataclass
class Served:
    store: FolderStore
    secret_file: Path
    port: int = 0

    def ask(self, path: str, method: str = "GET", **headers: str) -> Shown:
        """As bytes are sent, and no client's idea of an address."""
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host="Host" in named)
            for name, value in named.items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            told = {key.lower(): value for key, value in answer.getheaders()}
            return Shown(answer.status, answer.read(), told)
        finally:
            connection.close()

    def change_secret(self, secret: str | None) -> None:
        if secret is None:
            self.secret_file.unlink()
        else:
            self.secret_file.write_text(secret)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    store = FolderStore(folder / "store")
    store.put(keys.stored_image(IMAGE), StoredObject(draw(), "image/jpeg"))
    store.put(keys.frame(IMAGE), StoredObject(b"a face", "image/jpeg"))
    (folder / "store/images/secret.jpg").write_bytes(b"secret")
    made = Served(store, folder / "images-secret")
    made.change_secret(SECRET)
    settings = LabelingSettings(url=STUDIO, images_secret_file=made.secret_file)
    with serving(make_api(settings, store, Doorbell(_refuse_hint)), "127.0.0.1", 0) as port:
        made.port = port
        yield made


def _refuse_hint(message: Message) -> None:
    raise AssertionError("images give no hints")


@pytest.fixture
def served(server: Served) -> Iterator[Served]:
    """As every test finds it."""
    yield server
    server.change_secret(SECRET)
    server.store.delete(keys.tombstone(IMAGE))


def path_of(image: str = IMAGE, secret: str = SECRET) -> str:
    return sign_address("", secret, image)


def test_signed_image_is_shown(served: Served) -> None:
    answer = served.ask(path_of())
    assert (answer.status, answer.content) == (200, draw())
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in answer.headers
    head = served.ask(path_of(), "HEAD")
    assert (head.status, head.content) == (200, b"")


def test_image_that_is_held_is_not_sent_again(served: Served) -> None:
    etag = served.ask(path_of()).headers["etag"]
    for held in (etag, f"W/{etag}", f'"other", {etag}'):
        answer = served.ask(path_of(), If_None_Match=held)
        assert (answer.status, answer.content) == (304, b"")
    assert served.ask(path_of(), If_None_Match='"x"').status == 200


def test_pixels_may_be_read_by_pages_of_the_studio_alone(served: Served) -> None:
    allowed = served.ask(path_of(), Origin=STUDIO).headers
    assert allowed["access-control-allow-origin"] == STUDIO
    assert "access-control-allow-credentials" not in allowed
    for origin in ("http://evil.example", f"{STUDIO}.evil.example", "null", f"{STUDIO}/"):
        answer = served.ask(path_of(), Origin=origin)
        assert "access-control-allow-origin" not in answer.headers
        assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?signature=",
        "?signature=" + "0" * 64,
        f"?signature={sign(SECRET, IMAGE)[:-1]}",
        f"?signature={sign(SECRET, IMAGE)}0",
        f"?signature={sign(SECRET, IMAGE).upper()}",
        f"?Signature={sign(SECRET, IMAGE)}",
        f"?signature={sign('another', IMAGE)}",
        f"?signature={sign(SECRET, OTHER)}",
        f"?signature={sign(SECRET, IMAGE)}&signature={sign(SECRET, IMAGE)}",
        "?signature=%00%ff%F0%9F%9A%97",
        "?signature[]=x",
        "?" + "a=b&" * 20_000,
        f"?signature={sign(SECRET, IMAGE)}&pad={'x' * 1000}",
    ],
)
def test_wrong_signature_is_no_image(served: Served, query: str) -> None:
    answer = served.ask(f"/images/{IMAGE}.jpg{query}")
    assert answer.status in (404, 400) and answer.content != draw()
    if len(query) < 10_000:
        assert (answer.status, answer.content) == (404, b"no such image")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/images",
        "/images/",
        f"/images/{IMAGE}",
        f"/images/{IMAGE}.jpg/",
        f"/images/{IMAGE}.JPG",
        f"/images/{IMAGE}.png",
        f"/images/{IMAGE}.jpg.jpg",
        f"/images/{IMAGE}.jpg%00.jpg",
        f"/images/./{IMAGE}.jpg",
        f"//images/{IMAGE}.jpg",
        f"/images/%2e%2e/{IMAGE}.jpg",
        f"/images/..%2fimages%2f{IMAGE}.jpg",
        f"/images/%2e%2e%2fraw%2fframes%2fquai-saone%2f2026-11-21%2f{IMAGE}",
        "/images/..%2f..%2f..%2fetc%2fpasswd.jpg",
        "/images/..%5c..%5csecret.jpg",
        "/images/%252e%252e%252fsecret.jpg",
        "/images/secret.jpg",
        "/images/%D9%A1.jpg",
        f"/images/{'x' * 50_000}.jpg",
        f"/raw/frames/quai-saone/2026-11-21/{IMAGE}",
        f"/images/quai-saone/2026-11-21/{IMAGE}.jpg",
        "/docs",
        "/openapi.json",
    ],
)
def test_no_other_path_leads_anywhere(served: Served, path: str) -> None:
    signature = sign(SECRET, IMAGE)
    for query in ("", f"?signature={signature}"):
        answer = served.ask(f"{path}{query}")
        assert answer.status in (404, 400)  # 400: uvicorn takes no such line
        assert b"secret" not in answer.content and b"face" not in answer.content


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HACK"])
def test_other_methods_are_refused(served: Served, method: str) -> None:
    assert served.ask(path_of(), method).status == 405
    assert served.ask(path_of()).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "evil.example:8300",
        "[::2]:8300",
        "",
        "a@b",
        "[",
        "::1",
    ],
)
def test_name_that_is_not_ours_is_refused(served: Served, host: str) -> None:
    answer = served.ask(path_of(), Host=host)
    assert (answer.status, answer.content) == (421, b"not our name")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:9", "localhost:8300", "LOCALHOST", "[::1]:8300", "localhost."]
)
def test_names_of_loopback_are_ours(served: Served, host: str) -> None:
    assert served.ask(path_of(), Host=host).status == 200


def test_erased_image_is_gone_even_while_its_bytes_are_there(served: Served) -> None:
    served.store.put(keys.tombstone(IMAGE), StoredObject(b"{}", "application/json"))
    assert served.ask(path_of()).status == 404
    held = served.ask(path_of(), If_None_Match="*")
    assert held.status == 404


def test_image_that_is_not_there_is_not_told_from_a_wrong_signature(served: Served) -> None:
    absent = served.ask(path_of(OTHER))
    wrong = served.ask(f"/images/{OTHER}.jpg?signature=0")
    assert (absent.status, absent.content) == (wrong.status, wrong.content)
    same = [{k: v for k, v in one.headers.items() if k != "date"} for one in (absent, wrong)]
    assert same[0] == same[1]


def test_new_or_deleted_secret_ends_all_addresses_at_once(served: Served) -> None:
    old = path_of()
    served.change_secret("another")
    assert served.ask(old).status == 404
    assert served.ask(path_of(secret="another")).status == 200
    served.change_secret(None)
    for path in (old, path_of(secret="another"), path_of(secret="")):
        assert served.ask(path).status == 404


def test_object_store_that_does_not_answer_is_said(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(key: str) -> bool:
        raise StorageError("cannot reach http://me:sesame@store")

    monkeypatch.setattr(served.store, "exists", refuse)
    answer = served.ask(path_of())
    assert answer.status == 503
    assert b"sesame" not in answer.content


def test_secret_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "images.key"
    make_secret(path)
    first = path.read_text()
    assert (len(first), path.stat().st_mode & 0o777) == (64, 0o600)
    make_secret(path)
    assert path.read_text() == first
    path.unlink()
    make_secret(path)
    assert path.read_text() != first
    with pytest.raises(UserError, match="cannot write"):
        make_secret(path / "inside")


def test_origin_is_that_of_the_page() -> None:
    assert origin_of("HTTP://Labels.example:8080/label-studio/") == "http://labels.example:8080"
    assert origin_of("https://labels.example") == "https://labels.example"

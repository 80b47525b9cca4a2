"""What an administrator does: back up, restore into an empty stack, upgrade, change passwords."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from alembic import command
from alembic.config import Config

from pipeline import keys
from pipeline.catalog.catalog import NEWEST
from pipeline.catalog.drops import DropFilter
from pipeline.catalog.engine import Transactions, make_engine
from pipeline.catalog.integrity import examine
from pipeline.records import Detections, ImageState, Outcome
from services.maintenance.audit import audit
from services.maintenance.backup.reconciliation import REASON
from tests.e2e.engine import ROOT
from tests.e2e.label_studio import LabelStudio
from tests.e2e.logins import let_in, try_all
from tests.e2e.stack import WORKERS, Ran, Stack
from tests.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]  # building images, the first time

FILES = (
    *("catalog.dump", "store.tar", "label-studio.dump", "label-studio.tar"),
    *("secrets.tar", "manifest"),
)
FLOWS_WITHIN_S = 300.0
FIRST_REVISION = "0001"


@pytest.fixture(scope="module")
def stack(images: None) -> Iterator[Stack]:
    """One of its own: it is thrown away and restored."""
    stack = Stack(environment={"SCHEDULER_FEEDS": '["simulation"]'})
    try:
        stack.up()
        yield stack
    finally:
        stack.close()


def call(stack: Stack, script: str, *arguments: str, **environment: str) -> Ran:
    """As the Makefile calls it; whatever its exit status."""
    own = {
        "COMPOSE_PROJECT_NAME": stack.project,
        "COMPOSE_PROFILES": "simulation",
        **stack.own_environment,
        **environment,
    }
    done = subprocess.run(
        [ROOT / "infra" / script, *arguments],
        env={**os.environ, **own},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def results(stack: Stack) -> dict[str, Detections]:
    store = stack.store()
    return {
        keys.image_of(entry.key): Detections.model_validate_json(store.get(entry.key).data)
        for entry in store.list(keys.DETECTIONS)
    }


def ids(stack: Stack, prefix: str = keys.DETECTIONS) -> set[str]:
    return stack.images_below(prefix)


def wait_for_more(stack: Stack, count: int, beside: set[str]) -> None:
    what = f"{count} new results"
    wait_until(lambda: len(ids(stack) - beside) >= count, FLOWS_WITHIN_S, what)


def assert_healthy(stack: Stack) -> None:
    told = stack.run("doctor", "--json")
    found = {check["name"]: check["status"] for check in json.loads(told.out)}
    assert found["catalog and store"] == found["catalog"] == found["object store"] == "ok", told.out


def passwords(stack: Stack) -> dict[str, str]:
    return {file: text for file, text in stack.secrets().items() if file != "broker/users.acl"}


def members(backup: Path) -> dict[str, bytes]:
    with tarfile.open(backup / "store.tar") as archive:
        read = ((member.name, archive.extractfile(member)) for member in archive)
        return {name: file.read() for name, file in read if file is not None}


@pytest.fixture(scope="module")
def erased(stack: Stack) -> str:
    """An image that a person erased, before any backup."""
    wait_for_more(stack, 6, beside=set())
    image = min(ids(stack))
    assert stack.run("images", "delete", image, "--yes").status == 0
    wait_until(lambda: image in ids(stack, keys.TOMBSTONES), 30, "the tombstone")
    wait_until(lambda: image not in ids(stack), 30, "the image is gone")
    return image


@dataclass(frozen=True)
class Signed:
    """What a person had of Label Studio before the backup."""

    cookies: dict[str, str]
    personal_token: str
    file: str  # that was uploaded


@pytest.fixture(scope="module")
def signed(stack: Stack) -> Signed:
    studio = LabelStudio(stack)
    cookies = studio.sign_in(stack.secrets()["label-studio/admin_password"])
    assert cookies is not None
    assert studio.is_signed_in(cookies)
    return Signed(cookies, studio.make_personal_token(), upload(studio))


def upload(studio: LabelStudio) -> str:
    """To a project of somebody's own; where it lies there."""
    project = studio.ask("POST", "/api/projects", {"title": "Of somebody's own"}, 201)["id"]
    token = studio.stack.secrets()["label-studio/token"]
    answer = requests.post(
        f"{studio.url}/api/projects/{project}/import?commit_to_project=false",
        files=[("file", ("notes.txt", b"something", "text/plain"))],
        headers={"Authorization": f"Token {token}"},
        timeout=30,
    )
    (number,) = answer.json()["file_upload_ids"]
    return str(studio.ask("GET", f"/api/import/file-upload/{number}")["file"])


@pytest.fixture(scope="module")
def backup(
    stack: Stack, erased: str, signed: Signed, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Made while everything runs but detection: so frames wait, which no backup may hold."""
    stack.compose("stop", "detection")
    wait_until(lambda: ids(stack, keys.FRAMES), FLOWS_WITHIN_S, "a frame waits for detection")
    folder = tmp_path_factory.mktemp("operations") / "backups"
    told = call(stack, "backup/backup", BACKUPS=str(folder))
    assert told.status == 0, told.err
    (made,) = folder.iterdir()
    assert made.name in told.out
    assert re.search(r"catalog \S+, object store \S+ .*\d+ s\.", told.out)
    return made


def test_backup_is_whole_private_and_without_raw(backup: Path) -> None:
    assert backup.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in backup.iterdir()}
    assert modes == dict.fromkeys(FILES, 0o600)
    names = members(backup).keys()
    assert {name.partition("/")[0] for name in names} == {
        *("sources", "images", "detections", "tombstones", "counts.json")
    }
    manifest = (backup / "manifest").read_text()
    for name in set(FILES) - {"manifest"}:
        assert f"{hashlib.sha256((backup / name).read_bytes()).hexdigest()}  {name}" in manifest
    assert f"schema {NEWEST}" in manifest
    assert members(backup)["counts.json"].decode() in manifest


def test_restore_refuses_a_stack_that_has_data(stack: Stack, backup: Path) -> None:
    before = stack.secrets()
    told = call(stack, "backup/restore", str(backup))
    assert told.status == 1
    assert "not empty" in told.err
    assert "REPLACE=1" in told.err
    assert stack.secrets() == before


def test_backup_restored_into_an_empty_stack_goes_on(
    stack: Stack, backup: Path, erased: str, signed: Signed
) -> None:
    known, waiting = stack.secrets(), ids(stack, keys.FRAMES)
    kept = {name: data for name, data in members(backup).items() if "/" in name}
    stack.down("--volumes")
    told = call(stack, "backup/restore", str(backup))
    assert told.status == 0, told.err
    assert stack.secrets() == known
    store = stack.store()
    assert {name: store.get(name).data for name in kept} == kept
    assert store.get(next(name for name in kept if name.endswith(".jpg"))).content_type == (
        "image/jpeg"
    )
    restored = {keys.image_of(name) for name in kept if name.startswith(keys.DETECTIONS)}
    _assert_rows(stack, restored, waiting, erased)
    studio = LabelStudio(stack)
    assert studio.is_signed_in(signed.cookies)
    assert studio.takes_personal_token(signed.personal_token)
    assert studio.fetch("GET", f"/data/{signed.file}").content == b"something"
    wait_for_more(stack, 4, beside=restored)
    assert_healthy(stack)


def _assert_rows(stack: Stack, restored: set[str], waiting: set[str], erased: str) -> None:
    with stack.catalog() as catalog:
        states = catalog.images.states(sorted(restored))
        assert states == dict.fromkeys(restored, ImageState.DETECTED)
        assert catalog.images.get(erased) is None
        given_up = catalog.drops.search(DropFilter(outcome=Outcome.UNDETECTED, limit=100))
        assert {drop.image_id for drop in given_up} & waiting
        assert {drop.reason for drop in given_up} == {REASON}
        assert {row.id for row in catalog.tombstones.all()} == {erased}
        assert {row.id for row in catalog.cameras.all()} == {f"sim-{n}" for n in range(1, 5)}


def test_upgrade_from_the_first_schema_goes_on(stack: Stack) -> None:
    before = results(stack)
    stack.compose("stop", *WORKERS)
    known = stack.secrets()
    downgrade(f"postgresql+psycopg://traboule:{quote(known['catalog/password'])}", stack)
    assert examine(stack.catalog_url()).revision == FIRST_REVISION
    stack.down()
    stack.up()
    assert examine(stack.catalog_url()).revision == NEWEST
    wait_for_more(stack, 4, beside=set(before))
    after = results(stack)
    assert {image: after[image] for image in before} == before
    assert_healthy(stack)


def downgrade(login: str, stack: Stack) -> None:
    engine = make_engine(f"{login}@{stack.address('catalog')}:5432/traboule")
    config = Config()
    config.set_main_option("script_location", "pipeline.catalog:migrations")
    with Transactions(engine).writing() as session:
        config.attributes["connection"] = session.connection()
        command.downgrade(config, FIRST_REVISION)
    engine.dispose()


def test_rotation_changes_every_password_and_loses_nothing(stack: Stack) -> None:
    former, before = passwords(stack), ids(stack)
    cookies = LabelStudio(stack).sign_in(former["label-studio/admin_password"])
    users = try_all(stack, former).keys()
    assert let_in(stack, former) == users
    told = call(stack, "init/rotate")
    assert told.status == 0, told.err
    current = passwords(stack)
    assert [name for name, secret in former.items() if current[name] == secret] == []
    assert let_in(stack, former) == set()
    assert let_in(stack, current) == users
    assert not LabelStudio(stack).is_signed_in(cookies or {})
    wait_until(lambda: shows_an_image(stack), FLOWS_WITHIN_S, "labeling tells the store's password")
    wait_for_more(stack, 4, beside=before)
    assert before <= ids(stack)
    wait_until(lambda: is_sound(stack), FLOWS_WITHIN_S, "catalog and store agree")
    told_all = f"{told.out}{told.err}"
    assert not [name for name, secret in {**former, **current}.items() if secret in told_all]


def is_sound(stack: Stack) -> bool:
    """But for what is under way between the two looks."""
    with stack.catalog() as catalog:
        first = audit(catalog, stack.store())
        return first.also_in(audit(catalog, stack.store())).is_sound


def shows_an_image(stack: Stack) -> bool:
    """Label Studio, which asks the object store for it."""
    studio = LabelStudio(stack)
    return studio.show(studio.tasks()[0]).status_code == 200

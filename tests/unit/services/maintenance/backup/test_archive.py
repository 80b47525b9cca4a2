from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from infra.init.rights import BUCKETS
from pipeline import keys
from pipeline.errors import ObjectMissing, UserError
from pipeline.storage import FolderStore, StoredObject, put_json
from services.maintenance.backup.archive import read_archive, write_archive

IMAGE = "quai-20261121T091640Z-8be14bda"
LATER = "quai-20261121T101640Z-8be14bda"


def ignore(objects: int, size: int) -> None:
    pass


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    store = FolderStore(tmp_path / "store")
    put_json(store, keys.source("quai"), "{}")
    store.put(keys.stored_image(IMAGE), StoredObject(b"jpeg" * 1000, "image/jpeg"))
    put_json(store, keys.detections(IMAGE), "{}")
    put_json(store, keys.tombstone(LATER), "{}")
    store.put("models/brand/1/best", StoredObject(b"weights", "model/x", {"sha256": "ab"}))
    store.put(keys.frame(LATER), StoredObject(b"a face", "image/jpeg"))
    put_json(store, keys.frame_mark(LATER), "{}")
    return store


def contents(store: FolderStore) -> dict[str, StoredObject]:
    return {entry.key: store.get(entry.key) for entry in store.list("")}


def archived(store: FolderStore) -> bytes:
    file = io.BytesIO()
    write_archive(store, file, ignore)
    return file.getvalue()


def test_everything_but_raw_comes_back_as_it_was(store: FolderStore, tmp_path: Path) -> None:
    file = io.BytesIO()
    counts = write_archive(store, file, ignore)
    assert counts == {"sources": 1, "images": 1, "detections": 1, "tombstones": 1, "models": 1}
    other = FolderStore(tmp_path / "other")
    assert read_archive(other, io.BytesIO(file.getvalue()), ignore) == counts
    without_raw = {key: what for key, what in contents(store).items() if key[:4] != "raw/"}
    assert contents(other) == without_raw
    assert b"a face" not in file.getvalue()


def test_every_bucket_but_raw_is_copied(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "whole")
    for bucket in BUCKETS:
        put_json(store, f"{bucket}/quai/2026-11-21/{IMAGE}.json", "{}")
    put_json(store, keys.stored_image(IMAGE), "{}")
    counts = write_archive(store, io.BytesIO(), ignore)
    assert counts == dict.fromkeys(set(BUCKETS) - {"raw"}, 1)


def test_image_comes_before_its_mark_and_tombstones_last(store: FolderStore) -> None:
    with tarfile.open(fileobj=io.BytesIO(archived(store))) as archive:
        names = archive.getnames()
    assert names.index(keys.stored_image(IMAGE)) < names.index(keys.detections(IMAGE))
    assert names[-2:] == [keys.tombstone(LATER), "counts.json"]


def test_image_without_a_mark_is_work_under_way_and_left_out(store: FolderStore) -> None:
    store.delete(keys.detections(IMAGE))
    with tarfile.open(fileobj=io.BytesIO(archived(store))) as archive:
        assert keys.stored_image(IMAGE) not in archive.getnames()


class Erasing(FolderStore):
    """Where an image is erased between being listed and being read."""

    def get(self, key: str) -> StoredObject:
        if key == keys.stored_image(IMAGE):
            raise ObjectMissing(key)
        return super().get(key)


def test_what_is_erased_meanwhile_stops_nothing(store: FolderStore, tmp_path: Path) -> None:
    file = io.BytesIO()
    counts = write_archive(Erasing(store.root), file, ignore)
    assert "images" not in counts
    assert read_archive(FolderStore(tmp_path / "other"), io.BytesIO(file.getvalue()), ignore)


@pytest.mark.parametrize("left", [0, 700, 5000])
def test_archive_that_was_cut_off_is_refused(store: FolderStore, tmp_path: Path, left: int) -> None:
    cut = archived(store)[:left]
    with pytest.raises(UserError):
        read_archive(FolderStore(tmp_path / "other"), io.BytesIO(cut), ignore)


def test_archive_that_lost_a_member_is_refused(store: FolderStore, tmp_path: Path) -> None:
    shorter = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(archived(store))) as whole,
        tarfile.open(fileobj=shorter, mode="w") as rest,
    ):
        for member in whole.getmembers()[1:]:
            rest.addfile(member, whole.extractfile(member))
    with pytest.raises(UserError, match="holds"):
        read_archive(FolderStore(tmp_path / "other"), io.BytesIO(shorter.getvalue()), ignore)


def test_somebody_elses_tar_is_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("images/quai/x.jpg"))
    with pytest.raises(UserError, match="no object of ours"):
        read_archive(FolderStore(tmp_path / "other"), io.BytesIO(file.getvalue()), ignore)


def test_progress_is_told_object_by_object(store: FolderStore) -> None:
    told: list[tuple[int, int]] = []
    write_archive(store, io.BytesIO(), lambda *so_far: told.append(so_far))
    assert [objects for objects, _ in told] == [1, 2, 3, 4, 5]
    assert told[-1][1] == sum(
        len(what.data) for key, what in contents(store).items() if key[:4] != "raw/"
    )

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.errors import StorageError, UserError
from pipeline.storage import JSON, FolderStore, StoredObject


def test_object_is_a_plain_file_anybody_can_open(tmp_path: Path) -> None:
    FolderStore(tmp_path).put("images/a/d/1.jpg", StoredObject(b"jpeg", "image/jpeg"))
    assert (tmp_path / "images/a/d/1.jpg").read_bytes() == b"jpeg"
    assert not (tmp_path / ".metadata").exists()


def test_metadata_is_not_listed_as_an_object(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put("raw/frames/a/d/1", StoredObject(b"x", "image/jpeg", {"a": "b"}))
    assert [entry.key for entry in store.list("raw/")] == ["raw/frames/a/d/1"]


def test_what_a_killed_process_left_half_written_is_removed_after_an_hour(tmp_path: Path) -> None:
    FolderStore(tmp_path)
    old, new = tmp_path / ".temporary/old", tmp_path / ".temporary/new"
    old.write_bytes(b"x")
    new.write_bytes(b"x")
    os.utime(old, (time.time() - 4000,) * 2)
    FolderStore(tmp_path)
    assert not old.exists()
    assert new.exists()


def test_store_is_nobody_elses(tmp_path: Path) -> None:
    FolderStore(tmp_path / "store")
    assert (tmp_path / "store").stat().st_mode & 0o077 == 0


def test_put_killed_in_the_middle_leaves_the_old_object(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put("sources/a.json", StoredObject(b"old", JSON))
    script = (
        "import os, sys; from pathlib import Path\n"
        "from pipeline.storage import FolderStore, StoredObject, JSON\n"
        "Path.replace = lambda *_: os.kill(os.getpid(), 9)\n"
        "FolderStore(Path(sys.argv[1])).put('sources/a.json', StoredObject(b'new', JSON))\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert killed.returncode == -9
    assert len(list((tmp_path / ".temporary").iterdir())) == 1
    assert store.get("sources/a.json").data == b"old"


def test_folder_that_cannot_be_written_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="cannot write in"):
        FolderStore(tmp_path / "file" / "store")


def test_object_that_cannot_be_stored_is_a_storage_error(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    (tmp_path / "sources").write_text("a file where a folder should be")
    with pytest.raises(StorageError, match="cannot store sources"):
        store.put("sources/a.json", StoredObject(b"x", JSON))
    assert list((tmp_path / ".temporary").iterdir()) == []

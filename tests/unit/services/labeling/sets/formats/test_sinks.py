from __future__ import annotations

import gc
import io
import json
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import UserError
from services.labeling.sets.formats.sinks import Listing, open_sink


@pytest.mark.parametrize("name", ["set", "set.zip"])
def test_nothing_is_seen_before_the_end(tmp_path: Path, name: str) -> None:
    sink = open_sink(tmp_path / "made" / name)
    sink.write("labels/a.txt", b"1")
    sink.write_chunks("b.json", [b"2", b"3"])
    assert not (tmp_path / "made" / name).exists()
    sink.commit()
    sink.discard()
    [made] = (tmp_path / "made").iterdir()
    if made.is_dir():
        assert (made / "b.json").read_bytes() == b"23"
    else:
        with zipfile.ZipFile(made) as zipped:
            assert zipped.read("b.json") == b"23"


@pytest.mark.parametrize("name", ["set", "set.zip"])
def test_discarding_leaves_nothing(tmp_path: Path, name: str) -> None:
    sink = open_sink(tmp_path / name)
    sink.write("a.txt", b"1")
    scratch = sink.scratch()
    sink.discard()
    assert list(tmp_path.iterdir()) == []
    assert scratch.closed


def test_stream_gets_a_zip_and_no_more_than_it_was_given() -> None:
    stream = io.BytesIO()
    sink = open_sink(stream)
    assert stream.getvalue() == b""
    sink.write("images/a.jpg", b"\xff\xd8")
    listing = Listing(sink)
    listing.add({"n": 1})
    sink.write_chunks("b.json", listing.chunks())
    sink.commit()
    sink.discard()
    with zipfile.ZipFile(io.BytesIO(stream.getvalue())) as zipped:
        assert zipped.testzip() is None
        assert zipped.read("b.json") == b'[{"n": 1}]'


def test_stream_that_is_cut_off_is_no_zip() -> None:
    stream = io.BytesIO()
    sink = open_sink(stream)
    sink.write("a.txt", b"1")
    sink.discard()
    del sink
    gc.collect()
    assert not zipfile.is_zipfile(io.BytesIO(stream.getvalue()))


class Broken(io.BytesIO):
    def write(self, data: Any) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("chunks", [True, False])
def test_stream_that_nobody_reads_any_more_is_told_once(chunks: bool) -> None:
    sink = open_sink(Broken())
    with pytest.raises(BrokenPipeError):
        sink.write_chunks("a", [b"1" * 99]) if chunks else sink.write("a", b"1")
    sink.discard()


def test_what_a_killed_export_left_is_removed_after_a_day(tmp_path: Path) -> None:
    for name in ("set", "set.zip"):
        old, fresh = open_sink(tmp_path / name), open_sink(tmp_path / name)
        parts = sorted(tmp_path.glob(f".{name}.????????.part"), key=lambda p: p.stat().st_ctime_ns)
        day_ago = time.time() - 90_000
        os.utime(parts[0], (day_ago, day_ago))
        open_sink(tmp_path / name).discard()
        assert list(tmp_path.glob(f".{name}.????????.part")) == [parts[1]]
        old.discard()
        fresh.discard()


def test_target_that_is_there_or_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for target in ("file", "full", "dangling"):
        with pytest.raises(UserError, match="exists already"):
            open_sink(tmp_path / target)
    with pytest.raises(UserError, match="cannot write"):
        open_sink(tmp_path / "file" / "below")


def test_listing_is_an_array_whatever_its_length(tmp_path: Path) -> None:
    sink = open_sink(tmp_path / "set")
    for count in (0, 1, 3):
        listing = Listing(sink)
        for number in range(count):
            listing.add({"name": "é", "number": number})
        text = b"".join(listing.chunks())
        assert [item["number"] for item in json.loads(text)] == list(range(count))
    sink.discard()

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipeline.errors import UserError
from traboule.delivery import STANDARD_OUTPUT, deliver, open_target

PAGE = "<p>Fourvière</p>".encode()


def test_file_is_written_whole(tmp_path: Path) -> None:
    deliver(PAGE, tmp_path / "page.html", readable=True)
    assert (tmp_path / "page.html").read_bytes() == PAGE
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot write .*nowhere"):
        deliver(PAGE, tmp_path / "nowhere" / "page.html", readable=True)


def test_standard_output_takes_bytes(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    deliver(b"\xff\xd8\xff", STANDARD_OUTPUT, readable=False)
    assert capfdbinary.readouterr().out == b"\xff\xd8\xff"


def test_zip_goes_to_a_place_or_through_standard_output(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert open_target(Path("set.zip")) == Path("set.zip")
    target = open_target(STANDARD_OUTPUT)
    assert not isinstance(target, Path)
    target.write(b"PK")
    target.flush()
    assert capfdbinary.readouterr().out == b"PK"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with pytest.raises(UserError, match=r"> set\.zip"):
        open_target(STANDARD_OUTPUT)


def test_terminal_takes_a_page_and_no_picture(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with pytest.raises(UserError, match="nothing for a terminal"):
        deliver(b"\xff\xd8\xff", STANDARD_OUTPUT, readable=False)
    deliver(PAGE, STANDARD_OUTPUT, readable=True)
    assert capfdbinary.readouterr().out == PAGE

from __future__ import annotations

import pytest

from traboule.bars import progress_bar, telling


def test_progress_is_for_terminals_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("sending", None) as advance:
        advance(1)
        advance(2, 5)
    with telling("installing") as tell:
        tell("a line")
    assert capsys.readouterr() == ("", "")


def test_progress_is_drawn_on_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar("sending", None) as advance:
        advance(2, 5)
    with telling("installing") as tell:
        tell("collecting [all]")
    out, err = capsys.readouterr()
    assert out == ""
    assert "2/5" in err
    assert "installing" in err

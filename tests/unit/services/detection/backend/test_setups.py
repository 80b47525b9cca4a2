from __future__ import annotations

from services.detection.backend.setups import MAX_PROJECTS, Setup, Setups

SETUP = Setup("http://127.0.0.1:8080", "t0ken", "yolox-nano 1f2e3d4c")


def test_last_word_of_a_project_counts() -> None:
    setups = Setups()
    setups.remember("1.1", SETUP)
    setups.remember("1.1", Setup("http://elsewhere", None, None))
    assert setups.of("1.1") == Setup("http://elsewhere", None, None)
    assert setups.of("2.1") is None


def test_only_so_many_are_kept() -> None:
    setups = Setups()
    for number in range(MAX_PROJECTS):
        setups.remember(f"{number}.1", SETUP)
    setups.remember("0.1", SETUP)
    setups.remember("new", SETUP)
    assert setups.of("1.1") is None
    assert setups.of("0.1") == setups.of("new") == SETUP


def test_versions_are_those_told() -> None:
    setups = Setups()
    setups.remember("1", SETUP)
    setups.remember("2", SETUP)
    setups.remember("3", Setup("http://x", None, None))
    assert setups.versions() == ["yolox-nano 1f2e3d4c"]


def test_token_is_not_shown() -> None:
    assert "t0ken" not in repr(SETUP)

"""Stacks for the tests of the Docker services, and what is said at their end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.engine import build_images, require_engine
from tests.e2e.stack import Stack
from tests.e2e.table import ROWS, SIZES, draw_table

HERE = Path(__file__).parent
SHARING_A_STACK = ("test_compose.py", "test_label_sets.py", "test_secrets.py", "test_security.py")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []
    config.stash[SIZES] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """After all other layers; and last of all the tests of the shared stack, which is at work as
    long as it is there."""
    items.sort(key=lambda item: (item.path.parent == HERE, item.path.name in SHARING_A_STACK))


@pytest.fixture(scope="session")
def images() -> None:
    """Every service's image, built from this tree."""
    require_engine()
    build_images()


@pytest.fixture(scope="session")
def stack(images: None) -> Iterator[Stack]:
    """As a newcomer starts it: nothing filled in. Shared by the tests that leave it whole."""
    stack = Stack()
    try:
        stack.up()
        yield stack
    finally:
        stack.close()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """The table of faults, and the sizes of the images; CHAOS_TABLE names a file for the table."""
    if rows := config.stash[ROWS]:
        table = draw_table(rows)
        terminalreporter.section("faults")
        terminalreporter.write_line(table)
        if file := os.environ.get("CHAOS_TABLE"):
            Path(file).write_text(table + "\n", encoding="utf-8")
    if sizes := config.stash[SIZES]:
        terminalreporter.section("images, unpacked")
        for name, size in sizes.items():
            terminalreporter.write_line(f"{name:<32} {size / 1e6:4.0f} MB")

from __future__ import annotations

import json

import pytest

from pipeline.errors import UserError
from services.labeling.sets.formats.notes import read_notes


def test_classes_are_named_by_their_ids() -> None:
    notes = {"categories": [{"id": 1, "name": "truck"}, {"id": 0, "name": "car"}], "info": {}}
    assert read_notes(json.dumps(notes).encode()) == {0: "car", 1: "truck"}


def test_two_classes_with_one_id_are_refused() -> None:
    notes = {"categories": [{"id": 5, "name": "person"}, {"id": 5, "name": "bus"}]}
    with pytest.raises(UserError, match="'person' and 'bus' the same id 5"):
        read_notes(json.dumps(notes).encode())


@pytest.mark.parametrize(
    "notes",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"categories": 7}',
        b'{"categories": [1]}',
        b'{"categories": [{"id": -1, "name": "a"}]}',
        b'{"categories": [{"id": true, "name": "a"}]}',
        b'{"categories": [{"id": 1e3, "name": "a"}]}',
        b'{"categories": [{"id": 10000000, "name": "a"}]}',
        b'{"categories": [{"id": 1, "name": null}]}',
        b"[" * 100_000,
    ],
)
def test_notes_that_are_none_are_refused(notes: bytes) -> None:
    with pytest.raises(UserError, match=r"notes\.json"):
        read_notes(notes)

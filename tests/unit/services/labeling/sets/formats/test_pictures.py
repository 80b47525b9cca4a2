from __future__ import annotations

import base64

import pytest

from services.labeling.sets.formats.pictures import guess_names

ID = "quai-20261121T091640Z-8be14bda"
HIDDEN = base64.urlsafe_b64encode(f"s3://images/quai/2026-11-21/{ID}.jpg".encode()).decode()


@pytest.mark.parametrize(
    "name",
    [
        ID,
        f"{ID}.jpg",
        f"{ID}.JPG",
        f"../../{ID}.jpg",
        f"images\\{ID}.jpg",
        f"8691898b__{ID}.jpg",
        f"a5d035ee__c8bee958-{ID}.jpg",
        f"http://127.0.0.1:8080/data/upload/2/7111d86c-{ID}.jpg?x=1#y",
        f"s3://images/quai/2026-11-21/{ID}.jpg",
        f"/tasks/5/resolve/?fileuri={HIDDEN.rstrip('=')}",
        f"/data/local-files/?d=images/{ID}.jpg",
        "quai%2D20261121T091640Z%2D8be14bda.jpg",
    ],
)
def test_our_name_is_among_the_guesses(name: str) -> None:
    assert ID in list(guess_names(name))


@pytest.mark.parametrize("name", ["", "%%%", "http://[::1", "/x?fileuri=%ff", "deadbeef-", "ü.jpg"])
def test_other_names_are_guessed_at_without_harm(name: str) -> None:
    assert ID not in list(guess_names(name))

"""Many processes send images and record what people said at once, on every database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import chain

import pytest

from pipeline.catalog import Catalog
from pipeline.catalog.labeling.claims import Claim
from pipeline.catalog.labeling.tasks import ASKED_AGAIN, Considered
from tests.revisions import HERE, NOW, revise
from tests.rivals import RIVALS, Arena, open_arena

LATER = NOW + timedelta(seconds=60)
AFTER = LATER + timedelta(seconds=60)
IMAGES = [f"{source}-{n:02}" for n in range(40) for source in "ab"]
QUOTA = 13


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    with open_arena() as made:
        yield made


def about(image: str) -> Considered:
    return Considered(image, image[0], "2026-11-21")


def consider(catalog: Catalog, rival: int) -> int:
    return sum(catalog.labeling.consider(HERE, about(image), NOW) for image in IMAGES)


def test_image_is_considered_by_one(arena: Arena, catalog: Catalog, catalog_url: str) -> None:
    assert sum(arena.compete(catalog_url, consider)) == len(IMAGES)
    assert catalog.labeling.count_by_state(HERE) == {"waiting": len(IMAGES)}


def claim(catalog: Catalog, rival: int) -> list[str]:
    claimed = []
    for n in range(8):
        token, room = f"{rival} {n}", QUOTA if rival % 2 else None
        rows = catalog.labeling_claims.claim(HERE, Claim(token, NOW, LATER), 3, room)
        claimed += [row.image_id for row in rows]
    return claimed


def test_image_is_claimed_by_one(arena: Arena, catalog: Catalog, catalog_url: str) -> None:
    consider(catalog, 0)
    claimed = list(chain(*arena.compete(catalog_url, claim)))
    assert sorted(claimed) == sorted(IMAGES)


def send_within_quota(catalog: Catalog, rival: int) -> int:
    """Every other batch is given back; and what comes later goes first, so that nobody's choice is
    another's."""
    sent = 0
    for n in range(20):
        token, image = f"{rival} {n}", f"{'ab'[n % 2]}-{rival}-{n}"
        new = Considered(image, image[0], "2026-11-21", rank=-n - rival / RIVALS)
        assert catalog.labeling.consider(HERE, new, NOW)
        rows = catalog.labeling_claims.claim(HERE, Claim(token, NOW, LATER), 4, QUOTA)
        if n % 2:
            catalog.labeling_claims.release(HERE, token)
            continue
        number = 10_000 * (rival + 1) + 10 * n
        tasks = {row.image_id: number + place for place, row in enumerate(rows)}
        sent += catalog.labeling_claims.mark_sent(HERE, token, tasks, NOW)
    return sent


def test_quota_is_reached_and_never_exceeded(
    arena: Arena, catalog: Catalog, catalog_url: str
) -> None:
    consider(catalog, 0)
    assert sum(arena.compete(catalog_url, send_within_quota)) == 2 * QUOTA
    sent = Counter(image[0] for _, image in catalog.labeling.sent_ids(HERE))
    assert sent == {"a": QUOTA, "b": QUOTA}
    assert catalog.labeling_claims.release(HERE, "nobody") == 0
    left = catalog.labeling_claims.abandoned(HERE, AFTER, 100)
    assert {row.claim_token for row in left} <= {ASKED_AGAIN}, "no sender's"


def inherit(catalog: Catalog, rival: int) -> list[str]:
    lapsed = [row.image_id for row in catalog.labeling_claims.abandoned(HERE, LATER, 100)]
    rows = catalog.labeling_claims.take_over(HERE, lapsed, Claim(f"{rival}", LATER, AFTER))
    return [row.image_id for row in rows]


def test_dead_senders_images_are_taken_over_by_one(
    arena: Arena, catalog: Catalog, catalog_url: str
) -> None:
    consider(catalog, 0)
    assert len(catalog.labeling_claims.claim(HERE, Claim("dead", NOW, LATER), 50)) == 50
    inherited = list(chain(*arena.compete(catalog_url, inherit)))
    assert len(inherited) == len(set(inherited)) == 50


def live(catalog: Catalog, rival: int) -> Counter[str]:
    """All that is done to labeling tasks, each rival at another step of it."""
    labeling, claims, done = catalog.labeling, catalog.labeling_claims, Counter[str]()
    for n in range(20):
        token, number = f"{rival} {n}", 10_000 * (rival + 1) + 100 * n
        labeling.ask(HERE, [about(image) for image in IMAGES[:: rival + 1]], NOW)
        rows = claims.claim(HERE, Claim(token, NOW, LATER), 5, 30)
        tasks = {row.image_id: number + place for place, row in enumerate(rows)}
        done["sent"] += claims.mark_sent(HERE, token, tasks, NOW)
        done["gone"] += labeling.mark_gone(HERE, list(tasks.values()), NOW)
        image = IMAGES[(n + rival) % len(IMAGES)]
        done["adopted"] += labeling.adopt(HERE, Considered(image, image[0], ""), number + 99, NOW)
        claims.mark_failed(HERE, token, image, "odd", NOW)
        done["erased"] += labeling.erase_image(IMAGES[-1 - n], NOW)
        done["dropped"] += labeling.drop_erased(HERE, labeling.erased(HERE, 3))
        catalog.labeling_projects.contacted(HERE, NOW)
    return done


def test_rivals_at_the_same_images_never_wait_in_a_circle(
    arena: Arena, catalog: Catalog, catalog_url: str
) -> None:
    done = sum(arena.compete(catalog_url, live), start=Counter[str]())
    assert all(done[what] for what in ("sent", "gone", "adopted", "erased", "dropped"))
    sent = list(catalog.labeling.sent_ids(HERE))
    assert len(sent) == len({image for _, image in sent}) > 0
    left = catalog.labeling_claims.abandoned(HERE, AFTER, 100)
    assert {row.claim_token for row in left} <= {ASKED_AGAIN}, "no sender's"


def record(catalog: Catalog, rival: int) -> int:
    """Everybody has all revisions, each in another order."""
    order = [(n * (2 * rival + 1)) % 16 for n in range(16)]
    return sum(catalog.annotations.record(revise(at_s=n)) for n in order)


def test_newest_revision_is_shown_whoever_comes_last(
    arena: Arena, catalog: Catalog, catalog_url: str
) -> None:
    told = arena.compete(catalog_url, record)
    assert 1 <= sum(told) <= 16
    row = catalog.annotations.get(HERE, "5", "a-1")
    assert row is not None
    assert row.updated_at == NOW + timedelta(seconds=15)
    assert len(told) == RIVALS

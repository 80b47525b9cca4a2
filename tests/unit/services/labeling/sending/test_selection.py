from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from pipeline.records import BoundingBox, Detection, Detections
from services.labeling.sending.selection import ASKED, Decision, Rules, decide
from services.labeling.settings import LabelingSettings, SendPolicy
from tests.factories import Wanted, make_provenance

AT = datetime(2026, 11, 21, 9, tzinfo=UTC)


def found(scores: Sequence[float], label: str = "car", second: int = 0) -> Detections:
    body = f"{second}".encode()
    box = BoundingBox(x1=0, y1=0, x2=10, y2=10)
    return Detections(
        provenance=make_provenance(Wanted(at=AT.replace(second=second)), body),
        detections=tuple(
            Detection(label=label, score=score, box=box, detector="yolox-nano") for score in scores
        ),
        models=(),
        detected_at=AT,
        sha256_stored="00",
        bytes_stored=1,
        width=320,
        height=240,
        blurred=0,
        rounds=0,
    )


def test_all_are_sent_with_a_reason_negatives_too() -> None:
    for scores in ([], [0.9]):
        decision = decide(found(scores), Rules(SendPolicy.ALL), 0)
        assert decision == Decision(sent=True, reason="all images are sent")


def test_every_nth_of_a_source_and_day_is_sent_negatives_too() -> None:
    rules = Rules(SendPolicy.NTH, every_nth=3)
    for scores in ([], [0.9]):
        sent = [decide(found(scores), rules, place).sent for place in range(7)]
        assert sent == [True, False, False, True, False, False, True]
    assert "number 3 of its source and day" in decide(found([]), rules, 2).reason


def test_lots_are_drawn_once_for_an_image_and_as_many_as_asked_for() -> None:
    rules = Rules(SendPolicy.RANDOM, fraction=0.4)
    lots = [decide(found([], second=n), rules, 0) for n in range(60)]
    assert lots == [decide(found([0.9], second=n), rules, 9) for n in range(60)]
    assert 12 < sum(one.sent for one in lots) < 36
    assert {one.reason for one in lots} == {
        "drawn by lot: 40% are sent",
        "not drawn by lot: 40% are sent",
    }


@pytest.mark.parametrize(("fraction", "expected"), [(0.0, False), (1.0, True)])
def test_lots_at_their_ends(fraction: float, expected: bool) -> None:
    rules = Rules(SendPolicy.RANDOM, fraction=fraction)
    assert {decide(found([], second=n), rules, 0).sent for n in range(30)} == {expected}


def test_uncertain_ones_are_ranked_by_their_least_certain_detection() -> None:
    rules = Rules(SendPolicy.UNCERTAIN, band=(0.3, 0.6))
    surely, nearly, doubtful = (
        decide(found(scores), rules, 0) for scores in ([0.9], [0.6, 0.9], [0.46, 0.59])
    )
    assert not surely.sent
    assert nearly.sent and doubtful.sent
    assert doubtful.rank < nearly.rank
    assert doubtful.reason == "uncertain: a score of 0.46"


def test_band_includes_its_ends() -> None:
    rules = Rules(SendPolicy.UNCERTAIN, band=(0.3, 0.6))
    assert [decide(found([score]), rules, 0).sent for score in (0.29, 0.3, 0.6, 0.61)] == [
        False,
        True,
        True,
        False,
    ]


def test_image_without_detections_and_labels_not_ours_are_not_uncertain() -> None:
    rules = Rules(SendPolicy.UNCERTAIN)
    assert not decide(found([]), rules, 0).sent
    assert "nothing was found" in decide(found([]), rules, 0).reason
    assert not decide(found([0.45], label="zebra"), rules, 0).sent


def test_what_a_person_asks_for_goes_before_every_rank() -> None:
    assert ASKED.sent
    assert ASKED.rank < 0


def test_rules_are_the_settings() -> None:
    settings = LabelingSettings(policy=SendPolicy.NTH, every_nth=7, score_band=(0.2, 0.4))
    assert Rules.of(settings) == Rules(SendPolicy.NTH, 7, 0.1, (0.2, 0.4))

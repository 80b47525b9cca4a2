from __future__ import annotations

import pytest

from pipeline.broker import acl_rules
from pipeline.routes import SENDERS


@pytest.mark.parametrize("service", SENDERS)
def test_rules_begin_from_nothing(service: str) -> None:
    rules = acl_rules(service).split()
    assert rules[:3] == ["resetkeys", "resetchannels", "-@all"]
    for too_much in ("allkeys", "~*", "+@all", "allchannels", "&*", "nopass"):
        assert too_much not in rules


def test_capture_takes_its_own_queue_and_sends_to_detection() -> None:
    rules = acl_rules("capture")
    assert "~capture ~capture.*" in rules
    assert "+brpop" in rules
    assert rules.endswith("(%W~detection +lpush)")
    assert "scheduler" not in rules


def test_cli_takes_nothing() -> None:
    rules = acl_rules("cli")
    assert "(%W~maintenance +lpush)" in rules
    assert "(%W~scheduler +lpush)" in rules
    assert "brpop" not in rules
    assert " ~" not in rules
    assert "(%R~detection +llen)" in rules, "doctor says how much waits"


def test_stranger_has_no_rules() -> None:
    with pytest.raises(KeyError):
        acl_rules("stranger")

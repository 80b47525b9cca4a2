from __future__ import annotations

from infra.init.grants import wanted_grants
from infra.init.rights import ALL_OF_A_TABLE, Rights

SEQUENCES = {"drops": "drops_id_seq"}


def test_rights_on_a_table_are_granted_verb_by_verb() -> None:
    rights = Rights(tables={"images": "select update"})
    assert wanted_grants(rights, SEQUENCES) == {
        ("alembic_version", "select"),
        ("images", "select"),
        ("images", "update"),
    }


def test_whoever_inserts_may_take_the_next_number() -> None:
    grants = wanted_grants(Rights(tables={"drops": "select insert"}), SEQUENCES)
    assert ("drops_id_seq", "usage") in grants
    assert ("drops_id_seq", "update") not in grants
    assert wanted_grants(Rights(tables={"drops": "select"}), SEQUENCES) == {
        ("alembic_version", "select"),
        ("drops", "select"),
    }


def test_whoever_restores_may_set_the_next_number() -> None:
    grants = wanted_grants(Rights(tables={"drops": ALL_OF_A_TABLE}), SEQUENCES)
    assert {verb for name, verb in grants if name == "drops_id_seq"} == {
        "usage",
        "select",
        "update",
    }

from __future__ import annotations

import json
from copy import deepcopy

from infra.init.policies import is_same, make_policy
from infra.init.rights import RIGHTS, Rights

EXAMPLE = Rights(buckets={"raw": "list get delete", "images": "put"}, free_space=True)


def test_policy_says_what_the_table_says() -> None:
    policy = make_policy(EXAMPLE, lambda bucket: f"lyon-{bucket}")
    assert policy["Statement"] == [
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:DeleteObject"],
            "Resource": ["arn:aws:s3:::lyon-raw/*"],
        },
        {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": ["arn:aws:s3:::lyon-raw"]},
        {"Effect": "Allow", "Action": ["s3:PutObject"], "Resource": ["arn:aws:s3:::lyon-images/*"]},
        {"Effect": "Allow", "Action": ["admin:ServerInfo"]},
        {"Effect": "Deny", "Action": ["admin:CreateServiceAccount"]},
    ]


def test_nobody_has_more_of_the_servers_administration() -> None:
    for rights in RIGHTS.values():
        allowed = [one for one in make_policy(rights, str)["Statement"] if one["Effect"] == "Allow"]
        assert "*" not in json.dumps(allowed).replace('/*"', '"')
        assert any("admin" in json.dumps(one) for one in allowed) == rights.free_space


def test_same_policy_in_another_order_is_the_same() -> None:
    policy = make_policy(EXAMPLE, str)
    other = deepcopy(dict(policy))
    other["Statement"].reverse()
    other["Statement"][-1]["Action"].reverse()
    assert is_same(policy, other)


def test_policy_with_one_action_more_is_another() -> None:
    policy = make_policy(EXAMPLE, str)
    other = deepcopy(dict(policy))
    other["Statement"][0]["Action"].append("s3:PutObject")
    assert not is_same(policy, other)

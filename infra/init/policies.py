"""MinIO's policies, one per service, from the table of rights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from infra.init.rights import Rights

# On MinIO a reader or writer of objects needs no right on the bucket, given the region.
_OBJECTS = {"get": "s3:GetObject", "put": "s3:PutObject", "delete": "s3:DeleteObject"}
_LIST = "s3:ListBucket"
_FREE_SPACE = "admin:ServerInfo"
# A user may make itself more keys unless told otherwise: they would outlive a rotation.
_OWN_KEYS = "admin:CreateServiceAccount"

Policy = Mapping[str, Any]


def make_policy(rights: Rights, bucket_of: Callable[[str], str]) -> Policy:
    """`bucket_of` gives a bucket's name on the server."""
    statements: list[dict[str, Any]] = []
    for bucket, verbs in rights.buckets.items():
        name = f"arn:aws:s3:::{bucket_of(bucket)}"
        actions = [_OBJECTS[verb] for verb in verbs.split() if verb in _OBJECTS]
        if actions:
            statements.append(_allow(actions, f"{name}/*"))
        if "list" in verbs.split():
            statements.append(_allow([_LIST], name))
    if rights.free_space:
        statements.append(_allow([_FREE_SPACE]))
    statements.append({"Effect": "Deny", "Action": [_OWN_KEYS]})
    return {"Version": "2012-10-17", "Statement": statements}


def is_same(one: Policy, other: Policy) -> bool:
    """Whether two policies say the same, in whatever order."""
    return _meaning(one) == _meaning(other)


def _allow(actions: list[str], resource: str | None = None) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": "Allow", "Action": actions}
    return statement if resource is None else statement | {"Resource": [resource]}


def _meaning(policy: Policy) -> set[tuple[str, frozenset[str], frozenset[str]]]:
    return {
        (one["Effect"], frozenset(one["Action"]), frozenset(one.get("Resource", ())))
        for one in policy["Statement"]
    }

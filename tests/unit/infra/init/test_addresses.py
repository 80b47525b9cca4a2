from __future__ import annotations

from infra.init.addresses import log_in_as, place_of, user_of

URL = "s3+http://traboule:old@object-store:9000/lyon-?region=eu"


def test_address_tells_where_and_who() -> None:
    assert place_of(URL) == "object-store:9000"
    assert user_of(URL) == "traboule"


def test_address_of_another_user_differs_in_nothing_else() -> None:
    other = log_in_as(URL, "capture", "a/b@c")
    assert other == "s3+http://capture:a%2Fb%40c@object-store:9000/lyon-?region=eu"

from __future__ import annotations

import pytest

from services.labeling.signing import is_signed, sign, sign_address

IMAGE = "quai-20261121T091640Z-8be14bda"


def test_address_is_signed_for_one_image_by_one_secret() -> None:
    address = sign_address("http://127.0.0.1:8300", "a secret", IMAGE)
    signature = sign("a secret", IMAGE)
    assert address == f"http://127.0.0.1:8300/images/{IMAGE}.jpg?signature={signature}"
    assert is_signed("a secret", IMAGE, signature)
    assert not is_signed("another", IMAGE, signature)
    assert not is_signed("a secret", IMAGE.replace("quai", "pont"), signature)
    assert "a secret" not in address


@pytest.mark.parametrize("signature", ["", "0" * 64, "é", sign("a secret", IMAGE).upper()])
def test_other_signatures_are_none(signature: str) -> None:
    assert not is_signed("a secret", IMAGE, signature)


@pytest.mark.parametrize("image", ["", "../x", "quai", f"{IMAGE}/../x"])
def test_what_is_no_image_has_no_signature(image: str) -> None:
    assert not is_signed("a secret", image, "00")

"""Addresses of images that only we can make: one image each, for a browser that shows a labeling
task. They do not expire, since a labeling task does not either; a new secret ends them all."""

from __future__ import annotations

import hashlib
import hmac

from pipeline import keys


def sign_address(base: str, secret: str, image: str) -> str:
    return f"{base}/images/{image}.jpg?signature={sign(secret, image)}"


def sign(secret: str, image: str) -> str:
    return hmac.new(secret.encode(), keys.stored_image(image).encode(), hashlib.sha256).hexdigest()


def is_signed(secret: str, image: str, signature: str) -> bool:
    """Compared in constant time. False for what is not an image's id."""
    if not keys.is_image_id(image):
        return False
    return hmac.compare_digest(sign(secret, image).encode(), signature.encode())

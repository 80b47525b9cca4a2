"""A camera of real people: served where models and pictures are given; what is stored of them is
searched for faces by the tests themselves."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from pipeline.records import Policy
from services.detection.detector import DecodedImage
from services.detection.models import find_model
from services.detection.pixels import decode_pixels
from services.detection.yunet import YuNet

CAMERA = "folder-1"
# YuNet needs 0.1 to 0.6 s of a core for a picture, twice or more.
SETTINGS = {"policy": Policy.ANONYMISE, "detectors": ("yunet",), "every_s": 10.0}
ROUNDS = 6  # of the pictures, for as long as a lane takes
_BEGINS, _COMMENT = b"\xff\xd8", b"\xff\xfe"


@dataclass(frozen=True)
class Faces:
    """`models` and `pictures` are folders; the city shows what is in the second."""

    models: Path
    pictures: Path

    def count(self, jpeg: bytes) -> int:
        [faces] = self._yunet.detect([DecodedImage(decode_pixels(jpeg))])
        return len(faces)

    def count_shown(self, sha256_received: str) -> int:
        """In the picture that was received. KeyError for one that was never shown."""
        return self.count(self._shown[sha256_received].read_bytes())

    @cached_property
    def _yunet(self) -> YuNet:
        return YuNet(find_model("yunet", self.models, self.models))

    @cached_property
    def _shown(self) -> dict[str, Path]:
        return {sha256(one.read_bytes()).hexdigest(): one for one in self.pictures.iterdir()}


def prepare_faces(folder: Path) -> Faces | None:
    """None without TRABOULE_MODELS_DIR and TRABOULE_IMAGES_DIR."""
    models, images = os.environ.get("TRABOULE_MODELS_DIR"), os.environ.get("TRABOULE_IMAGES_DIR")
    if not models or not images:
        return None
    found = sorted(Path(images, "faces_groups").glob("*.jpg"))
    assert found, "no faces_groups/*.jpg in TRABOULE_IMAGES_DIR"
    folder.mkdir()
    for number in range(ROUNDS * len(found)):
        picture = found[number % len(found)].read_bytes()
        (folder / f"{number}.jpg").write_bytes(_tell_apart(picture, number))
    return Faces(Path(models), folder)


def _tell_apart(jpeg: bytes, number: int) -> bytes:
    """The same bytes are never a second image: each gets a comment of its own."""
    assert jpeg.startswith(_BEGINS)
    comment = f"shown as number {number}".encode()
    length = struct.pack(">H", len(comment) + 2)
    return _BEGINS + _COMMENT + length + comment + jpeg[len(_BEGINS) :]

"""The images: what they hold and do not hold, what they weigh, and who runs in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import docker  # type: ignore[import-untyped]
import pytest

from tests.e2e.engine import COMPOSE_FILE, VERSION
from tests.e2e.table import SIZES

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]  # the first build takes minutes

SERVICES = (
    *("scheduler", "capture", "detection", "maintenance", "labeling"),
    *("simulation", "init", "cli"),
)
OWN = (*SERVICES, "object-store")
CAPTURE_MAX_BYTES = 560_000_000
INFERENCE = ("onnxruntime", "cv2", "torch", "tensorflow")
MODEL_ENDINGS = (".onnx", ".pt", ".pth", ".tflite", ".caffemodel", ".safetensors", ".weights")
LABELS = ("title", "description", "licenses")
LOOK = """
import importlib.util, json, os, sys
found = [m for m in sys.argv[1].split(",") if importlib.util.find_spec(m)]
skipped = ("/proc", "/sys", "/dev")
files = [os.path.join(top, name) for top, folders, names in os.walk("/")
         if not top.startswith(skipped) for name in names]
print(json.dumps([found, files]))
"""


@pytest.fixture(scope="module")
def engine(images: None) -> Iterator[Any]:
    engine = docker.from_env(timeout=120)
    yield engine
    engine.close()


def image_of(engine: Any, service: str) -> Any:
    return engine.images.get(f"traboule/{service}:{VERSION}")


def look_into(engine: Any, service: str) -> tuple[list[str], list[str]]:
    """Modules for inference that can be imported there, and every file."""
    told = engine.containers.run(
        image_of(engine, service),
        ["python", "-c", LOOK, ",".join(INFERENCE)],
        network_mode="none",
        remove=True,
        read_only=True,
    )
    modules, files = json.loads(told)
    return modules, files


@pytest.mark.parametrize("service", ["capture", "labeling"])
def test_service_that_runs_no_model_holds_neither_inference_nor_model(
    engine: Any, service: str
) -> None:
    modules, files = look_into(engine, service)
    assert modules == []
    assert [file for file in files if file.endswith(MODEL_ENDINGS)] == []
    assert not [file for file in files if "/onnxruntime" in file or "/cv2" in file]


def test_detection_would_be_found_out(engine: Any) -> None:
    """The look above can tell: detection holds what capture must not."""
    modules, files = look_into(engine, "detection")
    assert set(modules) == {"onnxruntime", "cv2"}
    assert [file for file in files if file.endswith(MODEL_ENDINGS)]  # onnxruntime's own examples


@pytest.mark.parametrize("service", ["labeling", "cli"])
def test_client_of_label_studio_finds_all_that_it_needs(engine: Any, service: str) -> None:
    """It is installed without what it says that it needs."""
    command = ["python", "-c", "import services.labeling.client, services.labeling.__main__"]
    engine.containers.run(
        image_of(engine, service), command, entrypoint="", network_mode="none", remove=True
    )


@pytest.mark.parametrize("service", OWN)
def test_image_says_what_it_is_and_runs_as_a_named_user(engine: Any, service: str) -> None:
    config = image_of(engine, service).attrs["Config"]
    assert all(config["Labels"].get(f"org.opencontainers.image.{label}") for label in LABELS)
    user = config["User"]
    assert user not in {"", "root"}
    assert not user.isdecimal()


def test_sizes_are_told(engine: Any, pytestconfig: pytest.Config) -> None:
    """Unpacked, each with the layers that it shares with the others."""
    sizes = {service: int(image_of(engine, service).attrs["Size"]) for service in OWN}
    pytestconfig.stash[SIZES].update(sizes)
    assert sizes["capture"] <= CAPTURE_MAX_BYTES
    assert sizes["capture"] < sizes["detection"]


def test_every_image_of_ours_is_looked_at() -> None:
    text = COMPOSE_FILE.read_text()
    named = {
        line.split("traboule/")[1].split(":")[0]
        for line in text.splitlines()
        if "traboule/" in line and "image:" in line
    }
    assert named == set(OWN)

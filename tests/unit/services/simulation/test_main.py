"""The city as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest
import requests

CHECK_IMPORTS = """
import sys
import services.simulation.__main__
print(sorted({"cv2", "celery", "requests", "sqlalchemy"} & set(sys.modules)))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_process_serves_and_stops_cleanly(number: signal.Signals) -> None:
    environment = {**os.environ, "SIMULATION_PORT": "0", "SIMULATION_CAMERAS": "3"}
    command = [sys.executable, "-m", "services.simulation"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        said = process.stdout.readline()
        try:
            address = re.fullmatch(r"3 cameras at (http://\S+/cameras.json)\n", said)
            assert address
            assert len(requests.get(address[1], timeout=60).json()) == 3
        finally:
            process.send_signal(number)
        assert process.wait(60) == 0
        assert process.stdout.read() == ""


def test_process_needs_no_part_of_the_pipeline() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHECK_IMPORTS], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"

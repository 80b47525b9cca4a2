"""What a round trip costs labeling, beside a real Label Studio: our CPU and our memory.

    python -m benchmarks.labeling_push [--images 10000] [--changed 0.01] [--data FOLDER]

Images with predictions of five boxes each are considered and pushed; then all is pulled once, once
more with nothing changed, and once with a part annotated meanwhile. Labeling is a process of its
own that does what the service does, with a folder and SQLite for object store and catalog; its CPU
is its own alone, all threads, and the time that Label Studio takes is not in it. Exit status 1
where a target is missed. Needs a Label Studio: see tests/label_studio.py.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchmarks.labeling_setup import BOXES, Row, at_least, at_most, make_images, report
from pipeline.catalog.labeling.tasks import TaskState
from services.labeling.signed_images import make_secret
from services.labeling.studio.protocol import MAX_TASKS_PER_REQUEST
from tests.label_studio import People, StudioServer, start_label_studio
from tests.round_trip import box
from traboule.bars import progress_bar, telling
from traboule.labels.installation import find_port
from traboule.workspace import Workspace, open_workspace

TASKS_PER_CPU_S, PEAK_MB = 200.0, 200.0
STEPS = {
    "connect": "connecting",
    "consider": "considering",
    "push": "pushing",
    "settle": "pulling all of it, until nothing is new",
    "follow": "pulling",
    "compare": "comparing all of it",
}


@dataclass(frozen=True)
class Step:
    """What one cost, and what the catalog says after it. `peak_mb` is the process's so far."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    counts: Mapping[str, int]

    def describe(self) -> str:
        return f"{self.cpu_s:.2f} s of CPU, {self.wall_s:.1f} s, peak {self.peak_mb:.0f} MB"


@dataclass(frozen=True)
class Labeling:
    """The process that is measured."""

    told: IO[str]
    heard: IO[str]

    def take(self, step: str) -> Step:
        with telling(STEPS[step]):
            self.told.write(f"{step}\n")
            self.told.flush()
            line = self.heard.readline()
        if not line:
            raise SystemExit(f"labeling ended while {STEPS[step]}")
        return Step(**json.loads(line))


@contextmanager
def labeling(workspace: Workspace, server: StudioServer) -> Iterator[Labeling]:
    assert workspace.data is not None
    data, port = workspace.data, find_port(18_300)
    for name in ("images-secret", "token"):
        make_secret(data / name)
    (data / "token").write_text(server.token)
    settings = {
        "PIPELINE_BROKER_URL": workspace.settings.broker_url,
        "PIPELINE_STORE_URL": workspace.settings.store_url,
        "PIPELINE_CATALOG_URL": workspace.settings.catalog_url,
        "LABELING_URL": server.url,
        "LABELING_TOKEN_FILE": str(data / "token"),
        "LABELING_IMAGES_SECRET_FILE": str(data / "images-secret"),
        "LABELING_IMAGES_URL": f"http://127.0.0.1:{port}",
        "LABELING_API_PORT": str(port),
        "LABELING_PER_CAMERA_AND_DAY": "1000000",
    }
    command = [sys.executable, "-m", "benchmarks.labeling_process", str(data / "labeling.log")]
    environment, pipe = {**os.environ, **settings}, subprocess.PIPE
    with subprocess.Popen(command, env=environment, text=True, stdin=pipe, stdout=pipe) as process:
        assert process.stdin is not None and process.stdout is not None
        yield Labeling(process.stdin, process.stdout)
        process.stdin.close()


def annotate(workspace: Workspace, server: StudioServer, changed: int) -> None:
    """A person labels some of them."""
    [project] = [row.project for row in workspace.catalog.labeling_projects.all()]
    sent = [task for task, _ in workspace.catalog.labeling.sent_ids(project)]
    every = max(1, len(sent) // changed)
    with ExitStack() as stack:
        people = stack.enter_context(closing(People(server.url, server.annotator_token)))
        advance = stack.enter_context(progress_bar("annotating", changed))
        for number, task in enumerate(sent[::every][:changed]):
            people.annotate(task, [box()])
            advance(number + 1)


def measure(workspace: Workspace, server: StudioServer, images: int, changed: int) -> list[Row]:
    make_images(workspace, images)
    with labeling(workspace, server) as process:
        connected, considered, pushed = map(process.take, ("connect", "consider", "push"))
        settled, quiet = map(process.take, ("settle", "follow"))
        annotate(workspace, server, changed)
        followed, compared = map(process.take, ("follow", "compare"))
    sent = pushed.counts.get(TaskState.SENT, 0)
    came = followed.counts["annotations"] - quiet.counts["annotations"]
    cpu_s = considered.cpu_s + pushed.cpu_s
    return [
        Row("connected", connected.describe()),
        Row("considered", considered.describe()),
        Row("pushed", pushed.describe()),
        Row("pulled, all and until settled", settled.describe()),
        Row("pulled, nothing changed", quiet.describe()),
        Row(f"pulled, {changed} changed", followed.describe()),
        Row("compared, all", compared.describe()),
        Row("labeling tasks sent", f"{sent} of {images}", sent == images),
        Row("annotations that came back", f"{came} of {changed}", came == changed),
        at_least("sent per second of CPU, pushing", sent / pushed.cpu_s, TASKS_PER_CPU_S, "/s"),
        at_least("and considering with it", sent / cpu_s, TASKS_PER_CPU_S, "/s"),
        at_most("peak memory (RSS) of it all", compared.peak_mb, PEAK_MB, "MB"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--changed", type=float, default=0.01, help="the part annotated, 0 to 1")
    parser.add_argument("--data", type=Path, help="an empty folder, kept: it has labeling's log")
    options = parser.parse_args()
    changed = max(1, round(options.images * options.changed))
    with ExitStack() as stack:
        made = stack.enter_context(tempfile.TemporaryDirectory(prefix="traboule-benchmark-"))
        server = stack.enter_context(start_label_studio())
        workspace = stack.enter_context(closing(open_workspace(options.data or Path(made))))
        rows = measure(workspace, server, options.images, changed)
    boxes, at_once = sum(BOXES.values()), MAX_TASKS_PER_REQUEST
    title = f"{options.images} images of {boxes} boxes, at most {at_once} in a request"
    return report(title, rows)


if __name__ == "__main__":
    sys.exit(main())

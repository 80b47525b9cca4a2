"""How long a YOLO set takes, with its images: ours beside Label Studio's own, of the same project.

    python -m benchmarks.labeling_export [--images 5000] [--runs 3] [--access signed|upload]

Images with five boxes each are pushed, and accepted there all at once as annotations. Both then
export them by turns; the median of each counts. Label Studio's is one request until its zip has
arrived (YOLO_WITH_IMAGES); ours is `traboule labels export OUT.zip`, the start of it included.

What to know of the numbers. Both read files that were written or read a moment ago, so that disks
are out of it: with cold caches both are slower. Ours reads annotations that came back before, as
they do while people work; how long pulling all of them at once takes is told beside. With `signed`
Label Studio fetches each image by HTTP from our image server, as it does for most users; with
`upload` it copies its own files, which is the best case it has.

Before anything counts, both sets are held against one another: images byte for byte, and boxes.
Exit status 1 where a target is missed. Needs a Label Studio: see tests/label_studio.py.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import requests

from benchmarks.labeling_setup import BOXES, Row, at_least, make_images, report
from benchmarks.labeling_zips import Labelled, read_ours, read_theirs
from services.labeling.api import make_api, serving
from services.labeling.studio.wire import number_of
from services.labeling.webhook import Doorbell
from tests.label_studio import StudioServer, start_label_studio
from traboule.bars import progress_bar, telling
from traboule.labels.connection import find_labeling
from traboule.workspace import Workspace, open_workspace

TIMES_FASTER = 3.0
ANSWER_WITHIN_S = 3_600.0
CHUNK_BYTES = 1_000_000


def labels(data: Path, *arguments: str) -> float:
    """`traboule labels …`; how long it took."""
    command = [sys.executable, "-m", "traboule", "labels", *arguments, "--data", str(data)]
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def accept_all(server: StudioServer, project: int) -> None:
    """Every prediction becomes an annotation: Label Studio does it for a person in one action."""
    address = f"{server.url}/api/dm/actions?id=predictions_to_annotations&project={project}"
    body = {"selectedItems": {"all": True, "excluded": []}}
    with telling("accepting predictions"):
        requests.post(
            address, json=body, headers=authorise(server), timeout=ANSWER_WITHIN_S
        ).raise_for_status()


def authorise(server: StudioServer) -> dict[str, str]:
    return {"Authorization": f"Token {server.token}"}


def export_theirs(server: StudioServer, project: int, target: Path) -> float:
    started = time.perf_counter()
    address = f"{server.url}/api/projects/{project}/export?exportType=YOLO_WITH_IMAGES"
    with requests.get(
        address, headers=authorise(server), stream=True, timeout=ANSWER_WITHIN_S
    ) as answer:
        answer.raise_for_status()
        with target.open("wb") as file:
            for chunk in answer.iter_content(CHUNK_BYTES):
                file.write(chunk)
    return time.perf_counter() - started


def prepare(workspace: Workspace, server: StudioServer, images: int, access: str) -> int:
    """The project's number, once all is there and labelled."""
    assert workspace.data is not None
    make_images(workspace, images)
    token_file = workspace.data / "token"
    token_file.touch(mode=0o600)
    token_file.write_text(server.token)
    labels(
        workspace.data, "connect", server.url, "--token-file", str(token_file), "--images", access
    )
    with telling("pushing"):
        labels(workspace.data, "push", "--all")
    [known] = workspace.catalog.labeling_projects.all()
    project = number_of(known.project)
    accept_all(server, project)
    return project


@contextmanager
def showing_images(workspace: Workspace) -> Iterator[None]:
    """Where Label Studio fetches them: what a run or `labels serve` has at work."""
    settings = find_labeling(workspace.data)
    assert settings is not None
    api = make_api(settings, workspace.store, Doorbell(lambda message: None))
    with serving(api, settings.api_host, settings.api_port):
        yield


def take_turns(
    ways: Sequence[Callable[[Path], float]], runs: int, folder: Path
) -> list[tuple[float, Path]]:
    """The median of each, and where its last set is."""
    took: list[list[float]] = [[] for _ in ways]
    targets = [folder / f"{number}.zip" for number in range(len(ways))]
    with progress_bar("exporting by turns", runs * len(ways)) as advance:
        for run in range(runs):
            for number, export in enumerate(ways):
                targets[number].unlink(missing_ok=True)
                took[number].append(export(targets[number]))
                advance(run * len(ways) + number + 1)
    return list(zip(map(statistics.median, took), targets, strict=True))


def measure(workspace: Workspace, server: StudioServer, options: argparse.Namespace) -> list[Row]:
    assert workspace.data is not None
    data, project = workspace.data, prepare(workspace, server, options.images, options.access)
    with telling("pulling"):
        pulling_s = labels(data, "pull")

    def export_ours(target: Path) -> float:
        return labels(data, "export", str(target))

    def export_its_own(target: Path) -> float:
        return export_theirs(server, project, target)

    with showing_images(workspace):
        taken = take_turns((export_ours, export_its_own), options.runs, data)
    (ours_s, ours), (theirs_s, theirs) = taken
    with telling("comparing the sets"):
        equal = compare(read_ours(ours), read_theirs(theirs), options.images)
    return [
        Row("ours", f"{ours_s:.1f} s"),
        Row("Label Studio's", f"{theirs_s:.1f} s"),
        Row("pulling all annotations, once, before", f"{pulling_s:.1f} s"),
        *equal,
        Row("faster, with that pull added to ours", f"{theirs_s / (ours_s + pulling_s):.1f} times"),
        at_least("faster", theirs_s / ours_s, TIMES_FASTER, "times"),
    ]


def compare(ours: Labelled, theirs: Labelled, images: int) -> list[Row]:
    boxes = images * sum(BOXES.values())
    counts = [(sum(map(len, found.boxes.values())), len(found.images)) for found in (ours, theirs)]
    told = "ours {1} and {0}, theirs {3} and {2}".format(*counts[0], *counts[1])
    return [
        Row("images and boxes", told, counts == [(boxes, images)] * 2),
        Row("the same images, byte for byte", "", ours.images == theirs.images),
        Row("the same boxes around the same things", "", ours.agrees_with(theirs)),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--access", choices=("signed", "upload"), default="signed")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="traboule-benchmark-"))
        server = stack.enter_context(start_label_studio())
        workspace = stack.enter_context(closing(open_workspace(Path(folder))))
        rows = measure(workspace, server, options)
    title = f"{options.images} images ({options.access}), medians of {options.runs} exports each"
    return report(title, rows)


if __name__ == "__main__":
    sys.exit(main())

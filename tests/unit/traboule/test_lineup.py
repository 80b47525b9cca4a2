from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.errors import TransientError, UserError
from pipeline.records import Camera, Policy
from services.scheduler.feeds import FEEDS
from services.simulation.city import City
from services.simulation.server import CityServer, serve
from tests.factories import make_camera
from traboule.lineup import choose_cameras, save_simulated
from traboule.workspace import Workspace

LYON = [
    Camera(id=f"cwl{n}", url=f"https://lyon.example/{n}.jpg", feed="grandlyon") for n in range(3)
]


@pytest.fixture
def reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FEEDS, "grandlyon", lambda fetcher: LYON)


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fetcher: object) -> list[Camera]:
        raise TransientError("no such host")

    monkeypatch.setitem(FEEDS, "grandlyon", fail)


@pytest.fixture
def city() -> Iterator[CityServer]:
    with serve(City(2, refresh_s=7.0)) as server:
        yield server


def saved(workspace: Workspace) -> dict[str, Camera]:
    return {row.id: Camera.model_validate(row.record) for row in workspace.catalog.cameras.all()}


@pytest.mark.usefixtures("reachable")
def test_lineup_is_grand_lyon_and_two_simulated_where_it_is_reached(workspace: Workspace) -> None:
    lineup = choose_cameras(workspace, None)
    assert (lineup.simulated, lineup.told) == (
        2,
        "Cameras: Grand Lyon's (3), and 2 simulated ones.",
    )
    assert list(saved(workspace)) == ["cwl0", "cwl1", "cwl2"]


@pytest.mark.usefixtures("reachable")
def test_lineup_leaves_a_choice_among_grand_lyons_cameras_alone(workspace: Workspace) -> None:
    make_camera(workspace, "cwl1", feed="grandlyon", every_s=300)
    make_camera(workspace, "cwl2", feed="grandlyon", paused=True)
    assert "Grand Lyon's (1)" in choose_cameras(workspace, None).told
    assert {name: camera.every_s for name, camera in saved(workspace).items()} == {
        "cwl1": 300,
        "cwl2": 60,
    }


@pytest.mark.usefixtures("unreachable")
def test_lineup_is_the_city_alone_where_nobody_is_reached(workspace: Workspace) -> None:
    lineup = choose_cameras(workspace, None)
    assert lineup.simulated == 4
    assert lineup.told == (
        "Cameras: Grand Lyon's cannot be reached; 4 of the simulated city alone."
    )
    make_camera(workspace)
    assert choose_cameras(workspace, None).told.endswith("4 of the simulated city and 1 of yours.")


@pytest.mark.usefixtures("reachable")
def test_lineup_of_a_number_discovers_nothing(workspace: Workspace) -> None:
    assert choose_cameras(workspace, 3).told == "Cameras: 3 simulated."
    make_camera(workspace)
    make_camera(workspace, "asleep", paused=True)
    assert choose_cameras(workspace, 3).told == "Cameras: 3 simulated, beside 1 of yours."
    assert choose_cameras(workspace, 0).simulated == 0
    assert list(saved(workspace)) == ["asleep", "quai-saone"]


def test_lineup_of_nobody_is_refused(workspace: Workspace) -> None:
    make_camera(workspace, "asleep", paused=True)
    with pytest.raises(UserError, match="no camera to poll"):
        choose_cameras(workspace, 0)


def test_simulated_cameras_say_what_they_are(workspace: Workspace, city: CityServer) -> None:
    save_simulated(workspace, city, ("haar", "moving-object"))
    camera = saved(workspace)["sim-2"]
    assert camera.url == f"{city.url}/camera/sim-2.jpg"
    assert (camera.feed, camera.policy, camera.every_s) == ("simulation", Policy.KEEP, 7.0)
    assert (camera.licence, camera.attribution) == ("CC0", "Traboule's simulated city")
    assert camera.detectors == ("haar", "moving-object")


def test_simulated_cameras_that_are_no_more_are_paused(
    workspace: Workspace, city: CityServer
) -> None:
    make_camera(workspace, "sim-9", feed="simulation")
    make_camera(workspace, "street")
    save_simulated(workspace, city, ("haar",))
    assert {name: camera.paused for name, camera in saved(workspace).items()} == {
        "sim-1": False,
        "sim-2": False,
        "sim-9": True,
        "street": False,
    }


def test_simulated_camera_comes_back_from_its_pause(workspace: Workspace, city: CityServer) -> None:
    make_camera(workspace, "sim-1", feed="simulation", paused=True)
    save_simulated(workspace, city, ("haar",))
    assert not saved(workspace)["sim-1"].paused


def test_camera_of_the_user_is_not_taken_over(workspace: Workspace, city: CityServer) -> None:
    own = make_camera(workspace, "sim-1")
    with pytest.raises(UserError, match="sim-1 is yours"):
        save_simulated(workspace, city, ("haar",))
    assert saved(workspace) == {"sim-1": own}

"""The stack file of infra/swarm, deployed for real on a swarm of this one machine."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.engine import ROOT
from tests.e2e.stack import WORKERS
from tests.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]  # building images, the first time

STACK_FILE = ROOT / "infra" / "swarm" / "stack.yml"
LABEL = "traboule.data"
RUNS_WITHIN_S = 600.0
SEES_WITHIN_S = 300.0
SERVERS = {"broker", "object-store", "catalog", "label-studio"}
OF_LABELING = {
    *("labeling_webhook_secret", "labeling_backend_password"),
    *("label-studio_password", "label-studio_token"),
}
NO_NETWORK = ("network sandbox join failed", "failed to get network", "vxlan")


@dataclass(frozen=True)
class Swarm:
    """A stack on it."""

    name: str

    def deploy(self, **environment: str) -> None:
        done = docker(
            *("stack", "deploy", "--detach=true", "--resolve-image", "never"),
            *("--compose-file", str(STACK_FILE), self.name),
            **self.environment,
            **environment,
        )
        assert done.returncode == 0, done.stderr

    def make_secrets(self, generation: int) -> str:
        """What it says."""
        done = subprocess.run(
            [ROOT / "infra" / "swarm" / "secrets", str(generation)],
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    @property
    def environment(self) -> dict[str, str]:
        return {
            "STACK": self.name,
            "SCHEDULER_FEEDS": '["simulation"]',
            "SIMULATION_REPLICAS": "1",
        }

    def services(self) -> dict[str, Any]:
        """Name to what the Engine knows of it."""
        listed = docker("stack", "services", "--quiet", self.name).stdout.split()
        found = json.loads(docker("service", "inspect", *listed).stdout)
        return {one["Spec"]["Name"].removeprefix(f"{self.name}_"): one for one in found}

    def replicas(self) -> dict[str, str]:
        told = docker("stack", "services", "--format", "{{.Name}} {{.Replicas}}", self.name).stdout
        lines = (line.split(" ", 1) for line in told.splitlines())
        return {name.removeprefix(f"{self.name}_"): count for name, count in lines}

    def runs(self) -> bool:
        """Whether init is through and everything else healthy: until then Swarm counts no task."""
        counts = self.replicas()
        init = counts.pop("init")
        return init.endswith("(1/1 completed)") and set(counts.values()) == {"1/1"}

    def wait_until_it_runs(self) -> None:
        """Skips where this kind of machine cannot have the networks."""
        ends_at = time.monotonic() + RUNS_WITHIN_S
        while not self.runs():
            problems = self.problems()
            if any(reason in problem for problem in problems for reason in NO_NETWORK):
                pytest.skip(f"no overlay network on this machine: {problems[0]}")
            assert time.monotonic() < ends_at, (self.replicas(), problems)
            time.sleep(1)

    def problems(self) -> list[str]:
        told = docker("stack", "ps", "--no-trunc", "--format", "{{.Name}} {{.Error}}", self.name)
        return [line for line in told.stdout.splitlines() if " " in line.strip()]

    def run(self, *arguments: str) -> Any:
        """The traboule command, in the container of cli that runs."""
        label = f"label=com.docker.swarm.service.name={self.name}_cli"
        container = docker("ps", "--quiet", "--filter", label).stdout.split()[0]
        done = docker("exec", container, "traboule", *arguments, "--json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def images(self) -> set[str]:
        return {one["id"] for one in self.run("images", "list", "--state", "detected")}

    def remove(self) -> None:
        """The containers end a while after `stack rm` does."""
        docker("stack", "rm", self.name)
        mine = f"label=com.docker.stack.namespace={self.name}"
        wait_until(
            lambda: not docker("ps", "--all", "--quiet", "--filter", mine).stdout, 90, "all ended"
        )
        docker("volume", "rm", *docker("volume", "ls", "-q", "--filter", mine).stdout.split())
        made = docker("secret", "ls", "-q", "--filter", f"name={self.name}_").stdout.split()
        docker("secret", "rm", *made)


def docker(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def node(images: None) -> Iterator[None]:
    """This machine as the only node of a swarm, until the end."""
    if docker("info", "--format", "{{.Swarm.LocalNodeState}}").stdout.strip() != "inactive":
        pytest.skip("this machine is in a swarm already, which is left alone")
    begun = docker("swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1")
    if begun.returncode:
        pytest.skip(f"no swarm on this machine: {begun.stderr.strip()}")
    try:
        myself = docker("info", "--format", "{{.Swarm.NodeID}}").stdout.strip()
        labelled = docker("node", "update", "--label-add", f"{LABEL}=true", myself)
        assert labelled.returncode == 0, labelled.stderr
        yield
    finally:
        docker("swarm", "leave", "--force")
        docker("network", "rm", "docker_gwbridge")


@pytest.fixture(scope="module")
def swarm(node: None) -> Iterator[Swarm]:
    swarm = Swarm(f"traboule-test-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        swarm.make_secrets(1)
        swarm.deploy()
        swarm.wait_until_it_runs()
        yield swarm
    finally:
        swarm.remove()


def test_stack_runs_on_a_swarm_and_detects_images(swarm: Swarm) -> None:
    wait_until(lambda: len(swarm.images()) >= 4, SEES_WITHIN_S, "4 images detected")
    found = {check["name"]: check["status"] for check in swarm.run("doctor")}
    assert found["broker"] == found["object store"] == found["catalog"] == "ok"
    assert found["catalog and store"] == "ok"


def test_stack_has_every_service_of_compose_and_publishes_no_port(swarm: Swarm) -> None:
    services = swarm.services()
    assert services.keys() >= SERVERS | {*WORKERS} | {"init", "cli"}
    published = {name: one["Endpoint"].get("Ports") for name, one in services.items()}
    assert {name for name, ports in published.items() if ports} == set()


def test_every_service_is_hardened_and_limited(swarm: Swarm) -> None:
    for name, service in swarm.services().items():
        task = service["Spec"]["TaskTemplate"]
        container = task["ContainerSpec"]
        assert container["ReadOnly"], name
        assert container["CapabilityDrop"] == ["ALL"], name
        assert task["Resources"]["Limits"]["MemoryBytes"] > 0, name


def test_each_stage_is_given_its_own_secret_alone(swarm: Swarm) -> None:
    """And a second run of the script makes no others."""
    assert "is there already" in swarm.make_secrets(1)
    given = {
        name: {one["SecretName"] for one in secrets}
        for name, service in swarm.services().items()
        if (secrets := service["Spec"]["TaskTemplate"]["ContainerSpec"].get("Secrets"))
    }
    for stage in WORKERS:
        wanted = {f"{stage}_password"} | (OF_LABELING if stage == "labeling" else set())
        assert given[stage] == {f"{swarm.name}_1_{name}" for name in wanted}
    own = {"password", "admin_password", "token", "secret_key"}
    assert given["label-studio"] == {f"{swarm.name}_1_label-studio_{name}" for name in own}


def test_next_generation_of_secrets_goes_on(swarm: Swarm) -> None:
    before = swarm.images()
    swarm.make_secrets(2)
    swarm.deploy(SECRETS_GENERATION="2", SECRETS_BEFORE="1")
    wait_until(lambda: _is_updated(swarm), RUNS_WITHIN_S, "every service has its new secrets")
    swarm.wait_until_it_runs()
    wait_until(lambda: len(swarm.images() - before) >= 4, SEES_WITHIN_S, "4 new images")
    assert before <= {one["id"] for one in swarm.run("images", "list", "--limit", "1000")}


def _is_updated(swarm: Swarm) -> bool:
    """All tasks of what is given secrets; and detection has those of the new generation."""
    services = swarm.services()
    detection = services["detection"]["Spec"]["TaskTemplate"]["ContainerSpec"]
    (secret,) = detection["Secrets"]
    states = {services[name].get("UpdateStatus", {}).get("State") for name in (*WORKERS, "cli")}
    return states == {"completed"} and secret["SecretName"] == (
        f"{swarm.name}_2_detection_password"
    )

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import UserError
from services.labeling.studio.transport import ANSWER_TIMEOUT_S
from tests.runners import find_free_port
from tests.stub_studio import Reply, running_stub
from traboule.labels import installation
from traboule.labels.installation import (
    BANNED_SUBNETS,
    find_port,
    find_program,
    install,
    place_of,
    running_studio,
)

WAITS = ("ML_CONNECTION_TIMEOUT", "ML_TIMEOUT_HEALTH", "ML_TIMEOUT_SETUP", "WEBHOOK_TIMEOUT")
# Answers as Label Studio does, and leaves what it was told in its folder.
PROGRAM = """#!{python}
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

open("told.json", "w").write(json.dumps([sys.argv, dict(os.environ)]))
{first}

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        token = "Token " + os.environ["LABEL_STUDIO_USER_TOKEN"]
        known = self.path == "/health" or self.headers["Authorization"] == token
        self.send_response(200 if known else 401)
        self.end_headers()

HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""
# As if killed: nothing is ended.
STARTER = """
import os, sys
from pathlib import Path
from traboule.labels.installation import running_studio

with running_studio(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])):
    os._exit(0)
"""


def write_program(folder: Path, first: str = "") -> Path:
    program = folder / "program"
    program.write_text(PROGRAM.format(python=sys.executable, first=first))
    program.chmod(0o755)
    return program


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def answers(url: str) -> bool:
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_running_studio_keeps_its_secrets_to_its_owner(tmp_path: Path) -> None:
    folder, port = tmp_path / "studio", find_free_port()
    with running_studio(write_program(tmp_path), folder, port) as studio:
        assert studio.url == f"http://127.0.0.1:{port}"
        assert mode_of(folder) == 0o700
        assert mode_of(studio.password_file) == mode_of(studio.token_file) == 0o600
        secrets = [studio.password_file.read_text(), studio.token_file.read_text()]
        told = (folder / "told.json").read_text()
        command = told.partition("], {")[0]
        assert all(len(secret.strip()) >= 20 for secret in secrets)
        assert all(secret.strip() in told for secret in secrets)
        assert not any(secret.strip() in command for secret in secrets)
        assert answers(studio.url)
    assert not answers(studio.url)
    with running_studio(write_program(tmp_path), folder, port) as again:
        assert [again.password_file.read_text(), again.token_file.read_text()] == secrets


def test_running_studio_is_told_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST", "https://elsewhere.test")
    monkeypatch.setenv("OBJECT_STORE_PASSWORD", "hunter2")
    folder = tmp_path / "studio"
    with running_studio(write_program(tmp_path), folder, find_free_port()) as studio:
        told = (folder / "told.json").read_text()
        assert f'"LABEL_STUDIO_HOST": "{studio.url}"' in told
        assert '"--internal-host", "127.0.0.1"' in told
    for none in ("elsewhere.test", "hunter2"):
        assert none not in told
    for off in ("COLLECT_ANALYTICS", "LATEST_VERSION_CHECK"):
        assert f'"LABEL_STUDIO_{off}": "false"' in told


def test_running_studio_is_patient_with_our_webhook_and_backend(tmp_path: Path) -> None:
    folder = tmp_path / "studio"
    with running_studio(write_program(tmp_path), folder, find_free_port()):
        _, told = json.loads((folder / "told.json").read_text())
    waits_s = {name: float(told[f"LABEL_STUDIO_{name}"]) for name in WAITS}
    assert min(waits_s.values()) >= 5
    checking_s = waits_s["ML_TIMEOUT_HEALTH"] + waits_s["ML_TIMEOUT_SETUP"]
    assert checking_s < ANSWER_TIMEOUT_S, "we hear why a backend was refused"


def test_loopback_alone_is_taken_off_the_list() -> None:
    assert not any(subnet.startswith(("127.", "::1/")) for subnet in BANNED_SUBNETS)
    assert {"10.0.0.0/8", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7"} <= set(BANNED_SUBNETS)


def test_taken_port_is_told(tmp_path: Path) -> None:
    told: list[str] = []
    taken = find_free_port()
    with socket.create_server(("127.0.0.1", taken)):
        program, folder = write_program(tmp_path), tmp_path / "studio"
        with running_studio(program, folder, taken, told.append) as studio:
            port = int(studio.url.rpartition(":")[2])
    assert port > taken
    assert any(f"port {taken} is taken" in line and str(port) in line for line in told)


def test_port_that_somebody_else_is_to_have_is_passed_over() -> None:
    free = find_port(find_free_port())
    assert find_port(free, besides=free) > free


def test_no_free_port_is_told() -> None:
    with pytest.raises(UserError, match="no free port"):
        find_port(65_536)


def test_second_run_in_one_folder_is_refused(tmp_path: Path) -> None:
    program, folder = write_program(tmp_path), tmp_path / "studio"
    with (
        running_studio(program, folder, find_free_port()),
        pytest.raises(UserError, match=r"process \d+\) runs in"),
        running_studio(program, folder, find_free_port()),
    ):
        pass


def test_server_that_outlived_its_starter_keeps_the_folder(tmp_path: Path) -> None:
    program, folder = write_program(tmp_path), tmp_path / "studio"
    starter = [sys.executable, "-c", STARTER, str(program), str(folder), str(find_free_port())]
    subprocess.run(starter, check=True, timeout=120)
    orphan = int((folder / "lock").read_text())
    try:
        with (
            pytest.raises(UserError, match=f"process {orphan}"),
            running_studio(program, folder, find_free_port()),
        ):
            pass
    finally:
        os.kill(orphan, 15)


def test_program_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    program = write_program(tmp_path, 'sys.exit("no such table: users")')
    with (
        pytest.raises(UserError, match=r"did not start(.|\n)*no such table: users"),
        running_studio(program, tmp_path / "studio", find_free_port()),
    ):
        pass


def test_program_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "START_WITHIN_S", 1.0)
    folder = tmp_path / "studio"
    with (
        pytest.raises(UserError, match="did not start within"),
        running_studio(
            write_program(tmp_path, "import time; time.sleep(60)"), folder, find_free_port()
        ),
    ):
        pass
    assert not is_alive(int((folder / "lock").read_text()))


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_another_server_on_the_port_is_not_taken_for_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer_for_another(received: object) -> Reply:
        return Reply({}, status=200 if getattr(received, "path", "") == "/health" else 401)

    with running_stub(answer_for_another) as stub:
        monkeypatch.setattr(installation, "find_port", lambda first: first)
        program = write_program(tmp_path, "import time; time.sleep(60)")
        with (
            pytest.raises(UserError, match="does not know the token"),
            running_studio(program, tmp_path / "studio", int(stub.url.rpartition(":")[2])),
        ):
            pass


def test_interrupted_secret_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "studio"
    folder.mkdir()
    (folder / "token.new").write_text("half")
    with running_studio(write_program(tmp_path), folder, find_free_port()) as studio:
        assert len(studio.token_file.read_text().strip()) == 40


Carry = Callable[[list[str], Callable[[str], None]], None]


def pip_that(makes_program: bool, commands: list[list[str]]) -> Carry:
    def carry_out(command: list[str], tell: Callable[[str], None]) -> None:
        commands.append(command)
        if "venv" in command:
            (Path(command[-1]) / "bin").mkdir(parents=True, exist_ok=True)
        elif makes_program:
            Path(command[0]).with_name("label-studio").touch()
        else:
            raise UserError("the network is gone")

    return carry_out


def test_installation_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(installation, "_carry_out", pip_that(True, commands))
    assert find_program(tmp_path / "cache") is None
    program = install(tmp_path / "cache")
    assert program == place_of(tmp_path / "cache") / "bin" / "label-studio"
    assert install(tmp_path / "cache") == find_program(tmp_path / "cache") == program
    assert len(commands) == 2
    assert "label-studio==1.23.2" in commands[1]


def test_interrupted_installation_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(installation, "_carry_out", pip_that(False, commands))
    with pytest.raises(UserError, match="network"):
        install(tmp_path)
    (place_of(tmp_path) / "bin" / "label-studio").touch()  # half of it may be there
    assert find_program(tmp_path) is None
    monkeypatch.setattr(installation, "_carry_out", pip_that(True, commands))
    assert install(tmp_path).exists()
    assert [("--clear" in command) for command in commands] == [True, False, True, False]


def test_failed_command_is_told_by_its_last_lines() -> None:
    told: list[str] = []
    script = "[print('line', n) for n in range(50)]; print('No space left'); exit(1)"
    with pytest.raises(UserError, match=r"could not be installed:\n(.|\n)*No space left") as caught:
        installation._carry_out([sys.executable, "-c", script], told.append)
    assert len(told) == 51
    assert "line 5\n" not in str(caught.value)


def test_interrupted_command_is_ended() -> None:
    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    script = "import time; print('begun', flush=True); time.sleep(600)"
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        installation._carry_out([sys.executable, "-c", script], interrupt)
    assert time.monotonic() - started < 60

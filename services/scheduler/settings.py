"""The scheduler's settings, from `SCHEDULER_…` in the environment."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict

SIMULATION_URL = "http://simulation:8090"
NEED_NO_FILE = ("haar", "moving-object")


class SchedulerSettings(BaseSettings):
    """`feeds` are asked for their cameras without a command; in the environment it is JSON."""

    model_config = SettingsConfigDict(env_prefix="SCHEDULER_", frozen=True, env_ignore_empty=True)

    slots_per_host: int = 3  # polls at once against one host
    slots_per_own_host: int = 64  # our own network need not be spared
    lease_s: float = 45.0  # for waiting, and again for polling; then it is counted as expired
    feeds: tuple[str, ...] = ()
    simulation_url: str = SIMULATION_URL
    simulation_detectors: tuple[str, ...] = NEED_NO_FILE  # for what the simulated city draws
    user_agent: str = "Traboule/0.1 (camera datasets; asks for lists of cameras once an hour)"
    deadline_s: float = 10.0  # for one list; a feed may have two places to ask
    max_bytes: int = 5 * 1024 * 1024
    threads: int = 3  # so that a feed that does not answer holds up no tick

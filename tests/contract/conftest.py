"""Packages of third parties, built into wheels, installed next to the host, and run through its command."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.contract.templates import broken_packages, chain_of_three
from tests.support.command import Done, process

PACKAGES = Path(__file__).parent / "packages"
SOURCES = [Path(__file__).parents[2] / folder for folder in ("core", "plugins/detect", "plugins/pose")]
"""The host of this checkout, whichever is installed."""


def rows(file: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV by their heads."""
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


@dataclass(frozen=True)
class Trainer:
    """The command, run in a folder, with packages from other folders on the path."""

    folder: Path
    sites: tuple[Path, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *words: object, code: int = 0) -> Done:
        done = self.python("-m", "trainer_host", *words)
        shown = f"trainer {' '.join(map(str, words))}\n{done.out}{done.err}"
        assert done.code == code, shown
        assert "Traceback" not in done.err, shown
        return done

    def python(self, *words: object) -> Done:
        # One thread, so that small networks do not suffer from whatever else the machine is doing.
        given = {"TRAINER_OFFLINE": "1", "TRAINER_THREADS": "1", **self.environment}
        return process(sys.executable, *words, cwd=self.folder, path=self.sites, **given)

    def having(self, **environment: str) -> Trainer:
        return Trainer(self.folder, self.sites, {**self.environment, **environment})


def install(packages: list[Path], folder: Path) -> Path:
    """Build wheels and install them into a folder; return it."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    wheels, site = folder / "wheels", folder / "site"
    build = [*pip, "wheel", "--no-build-isolation", "--no-deps", "--no-index", "-w", wheels, *packages]
    subprocess.run(list(map(str, build)), check=True)
    put = [*pip, "install", "--no-deps", "--no-index", "--target", site, *sorted(wheels.iterdir())]
    subprocess.run(list(map(str, put)), check=True)
    return site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which all example packages are installed, next to each other."""
    return install(sorted(PACKAGES.iterdir()), tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="session")
def heatmap_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install([PACKAGES / "trainer-heatmap"], tmp_path_factory.mktemp("heatmap"))


@pytest.fixture(scope="session")
def others_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("others")
    packages = [PACKAGES / "trainer-hand-pose", PACKAGES / "trainer-layer-rates"]
    return install([*packages, *chain_of_three(folder / "source")], folder)


@pytest.fixture(scope="session")
def broken_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("broken")
    return install(broken_packages(folder / "source"), folder)


@pytest.fixture
def bare(tmp_path: Path) -> Trainer:
    """The command without any package of others."""
    return Trainer(tmp_path)


@pytest.fixture
def trainer(tmp_path: Path, heatmap_site: Path, others_site: Path) -> Trainer:
    """The command with the packages that work."""
    return Trainer(tmp_path, (heatmap_site, others_site))


@pytest.fixture
def surrounded(tmp_path: Path, heatmap_site: Path, others_site: Path, broken_site: Path) -> Trainer:
    """The command with the packages that work, among those that do not."""
    return Trainer(tmp_path, (broken_site, heatmap_site, others_site))


@dataclass(frozen=True)
class Trained:
    """A training of the heat-map task on its sample, by somebody else in another folder."""

    folder: Path
    done: Done

    @property
    def best(self) -> Path:
        return Path(self.done.json["best"])

    @property
    def run(self) -> Path:
        return Path(self.done.json["save_dir"])

    @property
    def sample(self) -> Path:
        return self.folder / "runs" / "samples" / "heatmap"


@pytest.fixture(scope="session")
def heatmap(tmp_path_factory: pytest.TempPathFactory, heatmap_site: Path, others_site: Path) -> Trained:
    """The heat-map task, trained with the extension."""
    folder = tmp_path_factory.mktemp("trained")
    command = Trainer(folder, (heatmap_site, others_site))
    extension = ["--plugin", "layer-rates", "layer-rates.layers=stem.", "layer-rates.factor=0.5"]
    return Trained(folder, command("run", "--task", "heatmap", *extension, "heatmap.channels=12", "--json"))

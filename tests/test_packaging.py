"""What leaves the repository: a wheel that lacks nothing, and scripts that explain themselves."""

import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from orderstream.cli import demo

ROOT = Path(__file__).parent.parent
SOURCES = ["setup.cfg", "pyproject.toml", "README.md", "orderstream", "migrations", "config"]
LEFT_BY_PYTHON = shutil.ignore_patterns("__pycache__")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, since a build leaves its own folders beside what it builds."""
    folder = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=LEFT_BY_PYTHON)
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the files in the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(source)], check=True, timeout=300)
    (built,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(built).namelist())


def test_wheel_holds_every_file_of_the_package(source: Path, wheel: set[str]) -> None:
    """Modules, queries, migrations, pages, clients for pages and the mark of typed packages."""
    ours = {str(file.relative_to(source)) for file in (source / "orderstream").rglob("*") if file.is_file()}
    migrations = {f"orderstream/{file.relative_to(source)}" for file in (source / "migrations").rglob("*.*")}
    assert ours | migrations <= wheel


@pytest.mark.parametrize(
    "name",
    [
        "orderstream/py.typed",
        "orderstream/config/grants.sql",
        "orderstream/migrations/tables/0001_orders.sql",
        "orderstream/postgres/queries/number.sql",
        "orderstream/web/static/orderstream.js",
        "orderstream/web/static/status/index.html",
        "orderstream/demo/static/index.html",
    ],
)
def test_wheel_holds_one_of_each_kind(wheel: set[str], name: str) -> None:
    """By name, should the folders themselves be gone."""
    assert name in wheel


def test_image_is_built_from_what_the_wheel_is() -> None:
    """All of it reaches the build, and nothing else: neither .venv nor .orderstream with its key."""
    copies = re.findall(r"^COPY (?!--)(.*) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    copied = " ".join(copies).split()
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert sorted(copied) == sorted(let_in) == sorted(SOURCES)


@pytest.fixture
def explain(tmp_path: Path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Asks a script for its help; of a copy, so that one which installs instead does it elsewhere, and fails."""
    scripts = shutil.copytree(ROOT / "scripts", tmp_path / "scripts", ignore=LEFT_BY_PYTHON)

    def ask(script: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": "/usr/bin:/bin"}
        return subprocess.run(
            [str(scripts / script), "--help"], env=environment, capture_output=True, text=True, timeout=60
        )

    return ask


@pytest.mark.parametrize("script", ["run", "test"])
def test_script_explains_itself(explain: Callable[[str], subprocess.CompletedProcess[str]], script: str) -> None:
    """At once: help installs nothing."""
    ended = explain(script)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith(f"Usage: scripts/{script}")


@pytest.mark.parametrize("option", [option for parameter in demo.params for option in parameter.opts])
def test_help_of_run_names_every_option(
    explain: Callable[[str], subprocess.CompletedProcess[str]], option: str
) -> None:
    """They are passed on to `orderstream demo`, whose errors name them."""
    assert f"\n  {option} " in explain("run").stdout

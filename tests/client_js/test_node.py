"""The JavaScript client under Node.js: its own tests, its types, and what is served as one file."""

import subprocess
from pathlib import Path

import pytest

from orderstream.web.static import bundle
from tests.clients.programs import missing, program

HERE = Path(__file__).parent
_PAGE = """
import assert from "node:assert/strict";
import * as client from "./orderstream.mjs";
assert.deepEqual(Object.keys(client), ["LIMITS", "REASONS", "decimal", "orderstream", "why"]);
"""


def run(*command: str) -> None:
    """Fails with all that the program said."""
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def types_of_node() -> str:
    """The type checker of this folder's package.json."""
    tsc = HERE / "node_modules" / "typescript" / "bin" / "tsc"
    return str(tsc) if tsc.exists() else missing("the npm package typescript")


def test_the_client_passes_its_tests_under_node() -> None:
    """`node --test` in this folder says which of them did not."""
    run(program("node"), "--test")


def test_its_types_allow_what_a_page_may_write_and_nothing_else(types_of_node: str) -> None:
    """types.ts, where each mistake is marked as one."""
    run(program("node"), types_of_node, "--noEmit")


def test_one_file_of_all_modules_can_be_imported(tmp_path: Path) -> None:
    """No two modules have a name for different things, and the entry's exports are what is left."""
    (tmp_path / "orderstream.mjs").write_text(bundle("orderstream.js"), encoding="utf-8")
    (tmp_path / "page.mjs").write_text(_PAGE, encoding="utf-8")
    run(program("node"), str(tmp_path / "page.mjs"))

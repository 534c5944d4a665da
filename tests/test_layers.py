"""The walls between the layers, read from the imports of every module (docs: "Layers")."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "orderstream"

# Each unit is a module or a package of `orderstream`; `(root)` is the package's own `__init__`.
GROUND = {"(root)", "errors", "settings", "configuration"}
CORE = {"core"}
HEART = {"hub", "channel", "ports", "collector", "sessions"}
EDGES = {"web", "postgres", "metrics", "tracing", "logs", "client"}
ENTRY = {"cli", "app", "supervisor", "canary", "demo", "watch", "doctor", "ingest"}

# What a core module would need for I/O, a clock, randomness, the environment or a log.
IMPURE = {
    *("asyncio", "concurrent", "threading", "multiprocessing", "subprocess", "signal", "select", "selectors"),
    *("socket", "ssl", "http", "urllib", "io", "os", "sys", "pathlib", "tempfile", "shutil"),
    *("time", "random", "secrets", "uuid", "logging", "structlog"),
}

# A library -> the units that may import it. The demo's exchange is an order service of its own, with its own
# connection: that it knows nothing of ours but the tables is the point of it.
OWNERS = {
    "aiohttp.web": {"web", "demo"},
    "aiohttp_sse": {"web"},
    "aiohttp_cors": {"web"},
    "aiopg": {"postgres", "demo"},
    "psycopg2": {"postgres", "demo"},
    "aiohttp": {"web", "canary", "client", "demo", "doctor"},
    "prometheus_client": {"metrics", "web"},
    "jwt": {"web"},
    "limits": {"web"},
    "opentelemetry": {"tracing"},
    "rich": {"watch", "doctor"},
    "click": {"cli", "demo", "ingest"},
    "uvloop": {"cli"},
}


def allowed_units(unit: str) -> set[str]:
    """The units that a unit may import, besides itself."""
    if unit in GROUND:
        return GROUND
    if unit in CORE:
        return {"errors"}
    if unit in HEART:
        return GROUND | CORE | HEART
    if unit in EDGES:
        return GROUND | CORE | HEART
    return GROUND | CORE | HEART | EDGES | ENTRY


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {module: ast.parse(path.read_text()) for module, path in SOURCES.items()}


def unit_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "(root)"


def imported(module: str) -> Iterator[str]:
    """Full names: `from a import b` names both a and a.b, since b may be a module."""
    package = module if SOURCES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def is_or_is_in(name: str, outer: str) -> bool:
    return name == outer or name.startswith(f"{outer}.")


@pytest.mark.parametrize("module", SOURCES)
def test_module_has_a_layer(module: str) -> None:
    """A new module is put into a layer before anything else."""
    assert unit_of(module) in GROUND | CORE | HEART | EDGES | ENTRY


@pytest.mark.parametrize("module", SOURCES)
def test_module_imports_only_what_is_below_it(module: str) -> None:
    """Nobody looks up, and edges do not look at each other."""
    unit = unit_of(module)
    ours = {unit_of(name) for name in imported(module) if name.startswith("orderstream.") and is_unit(name)}
    assert ours - {unit} <= allowed_units(unit)


def is_unit(name: str) -> bool:
    """Whether a name under `orderstream` is a module's; `orderstream.__version__` is not."""
    return unit_of(name) in {unit_of(module) for module in SOURCES}


@pytest.mark.parametrize("module", SOURCES)
def test_library_is_imported_by_its_owner_only(module: str) -> None:
    """So that an edge can be replaced without looking elsewhere."""
    used = {library for library in OWNERS if any(is_or_is_in(name, library) for name in imported(module))}
    assert not {library for library in used if unit_of(module) not in OWNERS[library]}


@pytest.mark.parametrize("module", [module for module in SOURCES if unit_of(module) in CORE])
def test_core_is_pure(module: str) -> None:
    """No await, no clock, no randomness, no environment, no logging."""
    assert not {name.partition(".")[0] for name in imported(module)} & IMPURE
    assert not [node for node in ast.walk(TREES[module]) if isinstance(node, ast.AsyncFunctionDef | ast.Await)]


@pytest.mark.parametrize("module", SOURCES)
def test_module_opens_with_one_sentence(module: str) -> None:
    """What it is for, on the first line."""
    said = ast.get_docstring(TREES[module]) or ""
    assert said.partition("\n\n")[0].rstrip().endswith((".", "?", ")"))

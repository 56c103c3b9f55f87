"""The house: imports point one way, and heavy packages have one home each."""

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ENGINE = ROOT / "forecasting"

# lower floors first; a module imports from its own floor or below, never above
FLOORS = [
    {"errors", "config", "pace"},
    {
        "sessions",
        "admission",
        "closing_times",
        "logs",
        "processes",
        "currencies",
        "columns",
        "events",
        "instruments",
        "bars",
        "forecasts",
        "session_axis",
        "charts",
        "score_charts",
        "calibration_charts",
        "track_charts",
        "price_charts",
        "training_charts",
        "completeness",
        "workspace",
        "tables",
        "tidying",
        "universe",
    },
    {"journal", "price_tables", "restatements"},
    {"stored_prices", "store"},
    {"holdings", "ingestion", "model"},
    {"evaluation"},
    {
        "chain",
        "ledger_rows",
        "ledger",
        "issued",
        "outcomes",
        "scoring",
        "track_record",
        "rolling",
        "calls",
        "registry",
        "cards",
        "standings",
        "exports",
        "records",
        "evening_report",
        "failure_command",
    },
    {"checks", "issuing", "steps", "candidates", "due"},
    {
        "jobs",
        "promotions",
        "status",
        "outlooks",
        "screening",
        "evening",
        "retraining",
        "replaying",
        "scheduler",
        "background",
    },
    {"cli", "__main__"},
]
HOMES = {
    "torch": {"model"},
    "safetensors": {"model"},
    "yfinance": {"ingestion"},
    "streamlit": set(),
    "typer": {"cli"},
    "rich": {"cli"},
    "deltalake": {"tables", "tidying"},
    "joblib": {"evaluation"},
    "distributed": {"evaluation"},
}


def _room(path):
    return path.relative_to(ENGINE).parts[0].removesuffix(".py")


@cache
def _imports(path):
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.append(node.module)
    return found


def _modules():
    return [p for p in sorted(ENGINE.rglob("*.py")) if p != ENGINE / "__init__.py"]


def test_every_room_has_a_floor():
    assert {_room(p) for p in _modules()} == set().union(*FLOORS)


def test_imports_never_point_up():
    floor = {room: i for i, rooms in enumerate(FLOORS) for room in rooms}
    for path in _modules():
        for name in _imports(path):
            parts = name.split(".")
            if parts[0] == "forecasting" and len(parts) > 1:
                assert floor[parts[1]] <= floor[_room(path)], f"{path.relative_to(ROOT)} imports {name} from above"


def test_model_and_ingestion_do_not_know_each_other():
    for room, other in (("model", "ingestion"), ("ingestion", "model")):
        for path in (ENGINE / room).rglob("*.py"):
            assert not any(name.startswith(f"forecasting.{other}") for name in _imports(path)), path


@pytest.mark.parametrize("package", HOMES)
def test_heavy_packages_have_one_home(package):
    users = {_room(p) for p in _modules() if any(n.split(".")[0] == package for n in _imports(p))}
    assert users == HOMES[package]


def test_the_module_graph_of_the_engine_has_no_circle():
    graph = {}
    for path in _modules():
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        graph[name] = {n for n in _imports(path) if n.startswith("forecasting.")}
    done, open_ = set(), []

    def visit(name):
        assert name not in open_, f"circle: {' -> '.join([*open_, name])}"
        if name in done:
            return
        open_.append(name)
        for other in graph.get(name, ()):
            visit(other)
        open_.pop()
        done.add(name)

    for name in graph:
        visit(name)


def test_the_app_uses_public_names_and_its_own_modules_only():
    own = {p.stem for p in (ROOT / "app").rglob("*.py")} | {"views", "reads", "pieces"}
    allowed = own | {"forecasting", "streamlit", "plotly", "pandas"} | set(sys.stdlib_module_names)
    for path in (ROOT / "app").rglob("*.py"):
        for name in _imports(path):
            assert name.split(".")[0] in allowed, f"{path}: {name}"
            assert not name.startswith("forecasting."), f"{path}: {name} is not a public name"


def test_nothing_is_unpickled():
    for path in _modules():
        text = path.read_text()
        assert not any(f"{package}.load(" in text for package in ("torch", "joblib")), path
        assert not any(n.split(".")[0] in {"pickle", "dill"} for n in _imports(path)), path

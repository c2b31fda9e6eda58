"""The layer table of docs/design.md, held against the code: imports only point down."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# From the bottom up. A module may import from its own layer and from those below.
LAYERS = [
    {"errors", "atomic", "identity"},
    {"content", "config"},
    {"model_folder"},
    {"verdict_words"},
    {"refs"},
    {"metrics", "prior_shift"},
    {"tasks", "selection"},
    {"stages"},
    {"recipes"},
    {"plan", "cost"},
    {"checks", "model_names"},
    {"show"},
    {"store"},
    {"results"},
    {"objectives"},
    {"models"},
    {"data", "generate"},
    {"fit"},
    {"execute"},
    {"rewardbench"},
    {"job"},
    {"sweep"},
    {"report", "__main__"},  # nothing imports it: the sweeper's plugin hands it in
]
TORCH_FREE = [
    "plan",
    "store.__main__",
    "metrics.pgr",
    "metrics.sections",
    "results.job_result",
    "job",
    "show.mirror",
    "config.bind",
    "selection",
    "tasks.example",
]
HEAVY = {"torch", "pytorch_lightning", "transformers", "wandb", "datasets", "peft"}
HYDRA = {"hydra", "omegaconf"}
DRAWERS = {"utils", "common", "helpers", "misc"}
TREES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): ast.parse(path.read_text())
    for path in sorted((ROOT / "w2s_lightning").rglob("*.py"))
}


def room(dotted: str) -> str:
    return dotted.split(".")[1] if "." in dotted else ""


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import: of modules, as far as their names tell."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "w2s_lightning" else []
            yield from ((node.lineno, name) for name in names or [node.module])
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)


def own_imports(tree: ast.AST) -> list[tuple[int, str]]:
    return [(line, name) for line, name in imports(tree) if name.partition(".")[0] == "w2s_lightning"]


def test_every_room_has_a_layer() -> None:
    assert len(TREES) > 30, "the walk lost the package"
    assert {room(name) for name in TREES} - {""} - set().union(*LAYERS) == set()


def test_imports_only_point_down() -> None:
    level = {name: number for number, names in enumerate(LAYERS) for name in names}
    upward = [
        f"{module}:{line} imports {name}"
        for module, tree in TREES.items()
        if room(module)
        for line, name in own_imports(tree)
        if room(name) and level[room(name)] > level[room(module)]
    ]
    assert upward == []


def test_no_import_cycle() -> None:
    graph = {module: {name for _, name in own_imports(tree)} & TREES.keys() for module, tree in TREES.items()}
    TopologicalSorter({module: targets - {module} for module, targets in graph.items()}).prepare()


def test_no_function_local_import_of_our_own_modules() -> None:
    functions = [
        (module, node)
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [(module, found) for module, node in functions for found in own_imports(node)] == []


def test_no_file_is_a_drawer() -> None:
    assert [module for module in TREES if module.rpartition(".")[2] in DRAWERS] == []


def test_hydra_stays_at_the_edge() -> None:
    users = {module for module, tree in TREES.items() for _, name in imports(tree) if name.split(".")[0] in HYDRA}
    allowed = {f"w2s_lightning.config.{name}" for name in ("bind", "loader", "mistakes")}
    assert {user for user in users if room(user) != "sweep"} <= allowed


def test_files_stay_readable() -> None:
    """How long functions may be is in `test_house.py`."""
    lines = {path.name: path.read_text().count("\n") for path in (ROOT / "w2s_lightning").rglob("*.py")}
    assert [(name, count) for name, count in lines.items() if count > 350] == []
    assert (ROOT / "train.py").read_text().count("\n") <= 60


@pytest.mark.parametrize("module", TORCH_FREE)
def test_the_lower_half_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, w2s_lightning.{module}; print(*sorted(m for m in {sorted(HEAVY)!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []

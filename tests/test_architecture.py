"""The layer table of docs/design.md, held against the code: imports only point down."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "w2s_lightning"

# From the bottom up. A module may import from its own layer and from those below.
LAYERS = [
    {"errors", "atomic", "identity"},
    {"content", "config"},
    {"refs"},
    {"metrics"},
    {"tasks", "selection"},
    {"stages"},
    {"recipes"},
    {"plan", "cost", "devices"},
    {"checks"},
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
    {"report"},  # nothing imports it: the sweeper's plugin hands it in
]
TORCH_FREE = [
    "plan",
    "store.__main__",
    "metrics.pgr",
    "results.job_result",
    "job",
    "show.mirror",
    "config.bind",
    "selection",
    "tasks.example",
]
HEAVY = {"torch", "pytorch_lightning", "transformers", "wandb", "datasets", "peft"}
DRAWERS = {"utils", "common", "helpers", "misc"}


def modules() -> list[Path]:
    found = sorted(PACKAGE.rglob("*.py"))
    assert len(found) > 30, "the walk lost the package"
    return found


def room(dotted: str) -> str:
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 else ""


def own_imports(tree: ast.AST) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "w2s_lightning":
            names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "w2s_lightning" else []
            found += [(node.lineno, name) for name in names or [node.module]]
        elif isinstance(node, ast.Import):
            found += [(node.lineno, a.name) for a in node.names if a.name.split(".")[0] == "w2s_lightning"]
    return found


def dotted_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_every_room_has_a_layer() -> None:
    rooms = {room(dotted_name(path)) for path in modules()} - {""}
    assert rooms - set().union(*LAYERS) == set()


def test_imports_only_point_down() -> None:
    level = {name: number for number, names in enumerate(LAYERS) for name in names}
    upward = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules()
        if room(dotted_name(path))
        for line, name in own_imports(ast.parse(path.read_text()))
        if room(name) and level[room(name)] > level[room(dotted_name(path))]
    ]
    assert upward == []


def test_no_import_cycle() -> None:
    graph = {}
    names = {dotted_name(path) for path in modules()}
    for path in modules():
        targets = {name for _, name in own_imports(ast.parse(path.read_text()))}
        graph[dotted_name(path)] = (targets & names) - {dotted_name(path)}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail, name])
        if name not in done:
            for target in graph[name]:
                visit(target, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_no_function_local_import_of_our_own_modules() -> None:
    local = []
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                local += [f"{path.name}:{line} {name}" for line, name in own_imports(node)]
    assert local == []


def test_no_file_is_a_drawer() -> None:
    assert [path for path in modules() if path.stem in DRAWERS] == []


def test_hydra_stays_at_the_edge() -> None:
    allowed = {"config/bind.py", "config/mistakes.py"}
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("hydra", "omegaconf"))
        or (isinstance(node, ast.Import) and any(a.name.split(".")[0] in ("hydra", "omegaconf") for a in node.names))
    }
    assert {user for user in users if not user.startswith("sweep/")} <= allowed


def test_files_and_functions_stay_readable() -> None:
    too_long = []
    for path in [*modules(), ROOT / "train.py"]:
        text = path.read_text()
        limit = 60 if path.name == "train.py" else 350
        if text.count("\n") > limit:
            too_long.append(f"{path.name}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= 60:
                too_long.append(f"{path.name}:{node.lineno} {node.name}")
    assert too_long == []


@pytest.mark.parametrize("module", TORCH_FREE)
def test_the_lower_half_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, w2s_lightning.{module}; print(*sorted(m for m in {sorted(HEAVY)!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []

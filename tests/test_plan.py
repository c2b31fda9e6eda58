"""Identity: what changes a digest, what must not, and the digests that a release promises to keep."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from omegaconf import OmegaConf

from tests.composing import FixedCommits, composed, plan
from w2s_lightning.config.bind import build
from w2s_lightning.errors import UserError
from w2s_lightning.plan import Plan, make_plan
from w2s_lightning.stages import Fit, Gold, Label

GOLDEN = Path(__file__).parent / "golden_digests.json"
PARADIGMS = ("supervised", "distillation", "self_improvement", "weak_to_strong")
RUNTIME = ("trainer", "tracking", "paths", "run")
RECIPES = (
    "paradigm=supervised",
    "paradigm=distillation",
    "paradigm=self_improvement",
    "paradigm=self_improvement paradigm.start=weak_to_strong",
    "paradigm=weak_to_strong",
    "paradigm=weak_to_strong objective=logconf paradigm.supervisors=2 paradigm.selection=filter",
    "paradigm=weak_to_strong model@middle.m1=mini paradigm.selection=weight",
    "paradigm=weak_to_strong paradigm.selection=balance paradigm.prior=[0.4,0.6]",
    "paradigm=weak_to_strong fit=lora",
    "paradigm=weak_to_strong fit=probe fit.readout=head",
    "paradigm=weak_to_strong fit.readout=words task.judge.metric=auroc",
    "paradigm=weak_to_strong objective=kd",
    "task=fact_pairs paradigm=weak_to_strong",
    "task=arithmetic model@weak=micro paradigm=supervised",
    "task=arithmetic model@weak=micro paradigm=distillation",
    "task=arithmetic model@weak=micro paradigm=distillation paradigm.level=token generation.top_log_probs=5",
    "task=arithmetic model@weak=micro paradigm=self_improvement",
    "task=arithmetic model@weak=micro paradigm=self_improvement paradigm.start=weak_to_strong",
    "task=arithmetic model@weak=micro paradigm=weak_to_strong",
    "task=arithmetic model@weak=micro paradigm=weak_to_strong objective=orpo paradigm.iterations=1",
    "task=word_problems paradigm=weak_to_strong",
    "task=arithmetic_pairs model@weak=micro paradigm=supervised",
    "task=arithmetic_pairs model@weak=micro paradigm=distillation",
    "task=arithmetic_pairs model@weak=micro paradigm=weak_to_strong",
    "task=arithmetic_pairs model@weak=micro paradigm=weak_to_strong fit.readout=implicit",
    "task=arithmetic_pairs model@weak=micro paradigm=weak_to_strong fit.readout=implicit objective=wspo",
)
SOLUTION_OPTIONS = {
    *("demonstrations", "iterations", "learn", "contrast", "keep_from", "overrule_from", "pairs_per_question"),
    *("contrast_lr_scale", "oracle_gold_filter", "level"),
}
# Words in the path of a leaf that only some tasks read.
ONLY_OF = {
    "arithmetic": {"reasoning", "arithmetic", "generation", *SOLUTION_OPTIONS},
    "arithmetic_pairs": {"preference", "implicit"},
    "word_problems": {"word_problems"},
}


def digests(made: Plan) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for stage in made.stages:
        found.setdefault(stage.kind, set()).add(stage.digest)
    return found


class Recipe(NamedTuple):
    """One of `RECIPES`, composed and planned."""

    cfg: Any
    choices: Any
    plan: Plan
    digests: dict[str, set[str]]


@pytest.fixture(scope="module")
def recipes() -> dict[str, Recipe]:
    found = {}
    for words in RECIPES:
        cfg, choices = composed(*words.split())
        made = make_plan(build(cfg, choices)[0], FixedCommits())
        found[words] = Recipe(cfg, choices, made, digests(made))
    return found


def test_digests_are_the_golden_ones(recipes: dict[str, Recipe]) -> None:
    """When this fails on purpose: bump the kind's `version` or say in CHANGELOG, under Digests, what is invalidated."""
    assert {name: recipe.plan.digest for name, recipe in recipes.items()} == json.loads(GOLDEN.read_text())


def leaves(block: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(block, dict) and block:
        for key, value in block.items():
            yield from leaves(value, (*path, str(key)))
    else:
        yield path, block


# What a leaf becomes when it is flipped, where adding one or negating would not be a legal value.
FLIPS: dict[tuple[str, ...], Any] = {
    ("fit", "schedule"): "linear",
    ("fit", "tuning"): None,  # covered by the recipes above
    ("fit", "readout"): None,
    ("fit", "labels"): "hard",
    ("fit", "precision"): "bf16",
    ("fit", "attention"): "eager",
    ("fit", "lora", "targets"): "q_proj",
    ("fit", "dropout"): 0.1,
    ("fit", "lora", "dropout"): 0.1,
    ("task", "judge", "metric"): "auroc",
    ("task", "words"): ["right", "wrong"],
    ("task", "form"): "claims",
    ("task", "world", "people"): 41,
    ("task", "world", "relations"): 13,
    ("paradigm", "selection"): "weight",
    ("paradigm", "control"): "always",
    ("paradigm", "start"): "weak_to_strong",
    ("paradigm", "threshold"): 0.6,
    ("paradigm", "prior"): [0.3, 0.7],
    ("paradigm", "keep"): 0.6,
    ("paradigm", "student_of_record"): None,
    ("paradigm", "recipe", "_target_"): None,
    ("paradigm", "module", "_target_"): "w2s_lightning.fit.paradigms.Base",
    ("set_by_task",): None,
    ("paradigm", "learn"): "weak",
    ("paradigm", "level"): None,
    ("paradigm", "keep_from"): 0.7,
    ("paradigm", "overrule_from"): 0.7,
}
# Leaves that begin so: tuning methods and worlds that no recipe above combines with a middle model, and a permission.
NOT_IDENTITY = (
    ("middle", "m1", "lr", "lora"),
    ("middle", "m1", "lr", "probe"),
    ("middle", "m1", "worlds", "people"),
    ("middle", "m1", "worlds", "arithmetic"),
    ("middle", "m1", "worlds", "judged_arithmetic"),
    ("middle", "m1", "worlds", "word_problems"),
    ("task", "benchmark_overlap"),
)


def flipped(path: tuple[str, ...], value: Any) -> Any:
    if path in FLIPS:
        return FLIPS[path]
    if isinstance(value, bool):
        return not value
    if path[:3] == ("task", "world", "mix"):
        return None  # shares add up to 1: flipped together below
    if path[-1] == "width":
        return 2 * value  # a multiple of the heads
    if isinstance(value, int):
        return value - 1 if value > 1 and path[0] == "task" else value + 1 if path[-1] != "heads" else 1
    if isinstance(value, float):
        return value * 0.5 if value else 0.5
    if not isinstance(value, list) or not value:
        return None
    if all(isinstance(one, float) for one in value):  # shares: the first larger and the second smaller
        return [value[0] + 0.01, value[1] - 0.01, *value[2:]] if len(value) > 1 else None
    return [*value[:-1], value[-1] + 1 if isinstance(value[-1], int) else f"{value[-1]} more"]


# Of leaves below these: the only kinds of stages whose digests may change.
LEARNED = ("fit", "paradigm", "objective", "gold", "generation", "seed")
ALLOWED = {"fit", "label", "select", "evaluate"}


def variants(recipes: Iterable[Recipe]) -> list[tuple[str, ...]]:
    paths: set[tuple[str, ...]] = set()
    for recipe in recipes:
        found = leaves(OmegaConf.to_container(recipe.cfg))
        paths |= {path for path, value in found if flipped(path, value) is not None}
    return sorted(paths)


def moved_kinds(recipe: Recipe, *paths: tuple[str, ...]) -> set[str]:
    """Kinds of stages whose digests change in one recipe when the leaves at these paths are flipped."""
    flips = {}
    for path in paths:
        value = OmegaConf.select(recipe.cfg, ".".join(path))
        value = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
        if value is not None and (other := flipped(path, value)) is not None:
            flips[".".join(path)] = other
    if not flips:
        return set()
    changed = recipe.cfg.copy()
    for key, other in flips.items():
        OmegaConf.update(changed, key, other)
    before, after = recipe.digests, digests(make_plan(build(changed, recipe.choices)[0], FixedCommits()))
    return {kind for kind in before.keys() | after.keys() if after.get(kind) != before.get(kind)}


def readers(path: tuple[str, ...], recipes: dict[str, Recipe]) -> list[Recipe]:
    """The recipes in which a leaf may count."""
    for task, words in ONLY_OF.items():
        if words & set(path):
            return [recipe for recipe in recipes.values() if recipe.choices["task"] == task]
    return list(recipes.values())


def test_every_identity_leaf_changes_a_digest(recipes: dict[str, Recipe]) -> None:
    unmoved, spread = [], []
    paths = [path for path in variants(recipes.values()) if path[0] not in RUNTIME]
    assert len(paths) > 60
    for path in paths:
        moved = next((kinds for recipe in readers(path, recipes) if (kinds := moved_kinds(recipe, path))), set())
        if not moved and not any(path[: len(start)] == start for start in NOT_IDENTITY):
            unmoved.append(path)
        if path[0] in LEARNED and not moved <= ALLOWED:
            spread.append((path, moved))
    assert unmoved == []
    assert spread == []


def test_no_runtime_leaf_changes_a_digest(recipes: dict[str, Recipe]) -> None:
    """All of them flipped together, in every recipe."""
    for recipe in recipes.values():
        paths = [path for path in variants([recipe]) if path[0] in RUNTIME]
        assert len(paths) >= 5
        assert moved_kinds(recipe, *paths) == set()


@pytest.mark.parametrize("task", ["fact_pairs", "arithmetic", "arithmetic_pairs", "word_problems"])
def test_names_of_tasks_and_models_are_for_people(task: str) -> None:
    """Renamed, they lead to the same stages under other labels."""
    cfg, choices = composed(f"task={task}")
    made = make_plan(build(cfg, choices)[0], FixedCommits())
    for key in ("task.name", "weak.name", "strong.name"):
        OmegaConf.update(cfg, key, f"my_{key}")
    renamed = make_plan(build(cfg, choices)[0], FixedCommits())
    assert renamed.digest == made.digest
    assert [stage.digest for stage in renamed.stages] == [stage.digest for stage in made.stages]
    assert all(a.label != b.label for a, b in zip(renamed.stages, made.stages, strict=True) if isinstance(a, Fit))


MODE_FIELDS = {
    "probs": {"features", "reference"},
    "features": set(),
    "log_probs": {"pairs"},
    "shift": set(),
    "solutions": {"generation", "seed", "shown", "reading"},
}


def test_a_labels_record_holds_only_what_its_mode_uses(recipes: dict[str, Recipe]) -> None:
    common = {"kind", "version", "source", "task", "split", "split_seed", "mode"}
    seen = set()
    for recipe in recipes.values():
        for stage in recipe.plan.stages:
            if isinstance(stage, Label):
                assert common <= stage.record().keys() <= common | MODE_FIELDS[stage.mode], stage.label
                seen.add(stage.mode)
    assert seen == set(MODE_FIELDS)


def test_probabilities_do_not_depend_on_how_solutions_are_drawn(recipes: dict[str, Recipe]) -> None:
    assert moved_kinds(recipes["paradigm=weak_to_strong"], ("generation", "temperature")) == set()
    solving = recipes["task=arithmetic model@weak=micro paradigm=weak_to_strong"]
    assert "label" in moved_kinds(solving, ("generation", "temperature"))


def test_the_mix_of_a_world_is_identity() -> None:
    one, other = plan(), plan("task.world.mix.claim=0.30", "task.world.mix.aside=0.20")
    assert not digests(one)["pretrain"] & digests(other)["pretrain"]


def test_the_floor_does_not_depend_on_the_strong_model_nor_the_ceiling_on_the_paradigm() -> None:
    one, other = plan("model@strong=small"), plan("model@strong=mini")
    assert row(one, "floor") == row(other, "floor")
    assert row(one, "ceiling") != row(other, "ceiling")
    ceilings = {row(plan(f"paradigm={name}"), "ceiling") for name in PARADIGMS}
    floors = {row(plan(f"paradigm={name}"), "floor") for name in PARADIGMS}
    assert len(ceilings) == len(floors) == 1


def row(made: Plan, name: str) -> str:
    return next(r.evaluate.digest for r in made.rows if r.name == name)


def test_changing_the_judge_refits_nothing() -> None:
    one, other = digests(plan()), digests(plan("task.judge.metric=auroc"))
    assert one["fit"] == other["fit"]
    assert one["label"] == other["label"]
    assert one["evaluate"] != other["evaluate"]


def test_another_seed_keeps_the_pretrained_models_and_the_test_set() -> None:
    one, other = plan("seed=0"), plan("seed=1")
    assert digests(one)["pretrain"] == digests(other)["pretrain"]
    assert not digests(one)["fit"] & digests(other)["fit"]
    assert row(one, "untuned") == row(other, "untuned")


@pytest.mark.parametrize("paradigm", ["self_improvement", "weak_to_strong"])
def test_a_strong_student_and_the_ceiling_share_everything_but_their_targets(paradigm: str) -> None:
    fits = {r.name: r.evaluate.answers.source for r in plan(f"paradigm={paradigm}").rows if is_fitted(r)}
    student, ceiling = fits["student"], fits["ceiling"]
    for part in ("weights", "readout", "tuning", "numerics", "optimisation", "dropout", "seed", "split_seed"):
        assert getattr(student, part) == getattr(ceiling, part), part


def is_fitted(r: Any) -> bool:
    return isinstance(r.evaluate.answers, Label) and isinstance(r.evaluate.answers.source, Fit)


def test_a_weak_equals_strong_supervised_student_is_the_floor() -> None:
    made = plan("paradigm=supervised", "model@strong=micro")
    assert row(made, "student") == row(made, "floor")


def test_nothing_behind_a_student_holds_gold_of_transfer_or_test(recipes: dict[str, Recipe]) -> None:
    """Training targets, demonstrations, selections and what they stand on; validation is its supervisor's too."""
    checked = 0
    for recipe in recipes.values():
        for r in recipe.plan.rows:
            if r.role not in ("student", "middle", "control", "teacher"):
                continue
            for stage in (r.evaluate, *r.evaluate.ancestors()):
                held = json.dumps(stage.record(), sort_keys=True)
                assert not re.search(r'\{"split": "(transfer|test)", "type": "Gold"\}', held), (r.name, stage.label)
                if isinstance(stage, Fit) and not isinstance(stage.learned, Gold):
                    assert not isinstance(stage.validation.get("labels"), Gold), (r.name, stage.label)
                checked += 1
    assert checked > 300
    ceiling = next(r for r in plan().rows if r.role == "ceiling").evaluate.answers.source
    assert '{"split": "transfer", "type": "Gold"}' in json.dumps(ceiling.record(), sort_keys=True)  # it is seen


def test_a_student_with_other_settings_than_its_ceiling_is_marked() -> None:
    assert plan("+fit.student.labels=hard").notices == plan().notices
    *same, notice = plan("+fit.student.schedule=linear", "+fit.student.max_length=64").notices
    assert tuple(same) == plan().notices
    assert notice.startswith("student and ceiling differ in schedule, max_length:")


@pytest.mark.parametrize("task", ["fact_pairs", "arithmetic", "arithmetic_pairs"])
def test_an_embedded_world_says_that_its_text_holds_what_is_tested(task: str) -> None:
    (told,) = plan(f"task={task}").notices
    assert "of the test set stand" in told
    assert "elicitation" in told
    assert plan(f"task={task}", "strong.pretrain.steps=0").notices == ()


def test_auroc_is_for_two_classes(tmp_path: Path) -> None:
    for name in ("train", "test"):
        rows = [f"{name} text {number},{number % 3}" for number in range(60)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *rows]))
    files = [f"task.{name}_file={tmp_path}/{name}.csv" for name in ("train", "test")]
    models = ["model@weak=pythia_70m", "model@strong=pythia_160m"]
    plan("task=local_choice", *files, *models)
    with pytest.raises(UserError, match=r"auroc needs two classes, task local_choice has 3"):
        plan("task=local_choice", "task.judge.metric=auroc", *files, *models)


def test_labels_that_are_no_single_words_go_without_verdict_words(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\nx,not entailed\ny,entailed\n")
    task = ["task=local_choice", f"task.train_file={tmp_path}/a.csv", f"task.test_file={tmp_path}/a.csv"]
    models = ["model@weak=pythia_70m", "model@strong=pythia_160m"]
    assert "untuned_words" in [row.name for row in plan(*task, *models).rows]
    assert "untuned_words" not in [row.name for row in plan(*task, *models, "task.words=[]").rows]


def test_the_mean_of_several_supervisors_is_no_row_to_agree_with() -> None:
    assert plan().supervisor == "floor"
    assert plan("paradigm.supervisors=3").supervisor is None


def test_bootstrapping_hands_the_labels_on_from_size_to_size() -> None:
    made = plan("model@middle.m1=mini")
    fits = {r.name: r.evaluate.answers.source for r in made.rows if is_fitted(r)}
    assert fits["student"].learned.source == fits["middle_1"]
    assert fits["middle_1"].learned.source == fits["floor"]
    assert made.supervisor == "middle_1"


def test_an_objective_with_a_self_target_brings_its_control() -> None:
    assert "permuted_control" in [r.name for r in plan("objective=logconf").rows]
    assert "permuted_control" not in [r.name for r in plan("objective=xent").rows]
    assert "permuted_control" in [r.name for r in plan("paradigm.control=always").rows]


def test_balanced_labels_bring_their_control_and_take_the_uniform_prior() -> None:
    made = plan("paradigm.selection=balance")
    fits = {row.name: row.evaluate.answers.source for row in made.rows if is_fitted(row)}
    balanced = fits["student"].learned
    assert (balanced.rule, balanced.options) == ("balance", {"prior": (0.5, 0.5)})
    assert fits["permuted_control"].learned.sources == (balanced,)
    assert "permuted_control" not in [row.name for row in plan("paradigm.selection=filter").rows]
    assert plan("paradigm.selection=balance", "paradigm.prior=[0.5,0.5]").digest == made.digest
    assert plan("paradigm.selection=balance", "paradigm.prior=[0.4,0.6]").digest != made.digest


@pytest.mark.parametrize("prior", ["[0.5,0.6]", "[0.2,0.3,0.5]"])
def test_a_prior_of_other_classes_or_of_another_sum_is_refused(prior: str) -> None:
    with pytest.raises(UserError, match=r"paradigm.prior=.*each of the 2 classes of fact_pairs, which add up to 1"):
        plan("paradigm.selection=balance", f"paradigm.prior={prior}")

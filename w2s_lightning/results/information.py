"""What a row's model saw: labels and tokens counted from its stages, never declared by a recipe."""

from collections.abc import Iterable, Iterator

from w2s_lightning.identity import Stage
from w2s_lightning.recipes.recipe import ResultRow
from w2s_lightning.stages import (
    BareModel,
    Fit,
    Gold,
    Label,
    Select,
    Shown,
    Supervisor,
    Targets,
    UnlabelledTexts,
    Weights,
)
from w2s_lightning.store import Store
from w2s_lightning.tasks.example import Split


def information(store: Store, row: ResultRow) -> dict[str, int]:
    """Labels that the row's model was trained on or shown, gold labels behind these, tokens trained on and sampled.

    A model that went through several fits saw the labels of all of them; demonstrations in its prompt count too.
    """
    seen = {"gold_seen_by_student": 0, "gold_upstream": 0, "pseudo_labels": 0, "train_tokens": 0, "sampled_tokens": 0}
    answers = row.evaluate.answers
    if isinstance(answers, Supervisor):
        return seen
    own = list(_fits_of(answers.source))
    for fit in own:
        metrics = store.read_json(fit, "metrics.json")
        if not isinstance(fit.learned, UnlabelledTexts):
            seen[_kind(fit.learned)] += metrics["num_rows"]
        seen["train_tokens"] += metrics["num_tokens"]
    if answers.shown is not None:
        seen[_kind(answers.shown.solutions)] += answers.shown.count
    mine = {fit.digest for fit in own}
    behind = {stage.digest: stage for stage in answers.ancestors() if stage.digest not in mine}.values()
    seen["gold_upstream"] = _gold_in(behind, store)
    written = [stage for stage in behind if isinstance(stage, Label) and stage.mode == "solutions"]
    seen["sampled_tokens"] = sum(store.read_json(stage, "metrics.json")["num_drawn"] for stage in written)
    return seen


def source_of(row: ResultRow) -> Fit | BareModel | None:
    """The model behind a row; None where a file answers."""
    answers = row.evaluate.answers
    return None if isinstance(answers, Supervisor) else answers.source


def _fits_of(source: Fit | BareModel | Weights) -> Iterator[Fit]:
    """The fits that a model went through, the last one first."""
    if isinstance(source, Fit):
        yield source
    if isinstance(source, Fit | BareModel):
        yield from _fits_of(source.weights)


def _kind(targets: Targets) -> str:
    return "gold_seen_by_student" if isinstance(targets, Gold) else "pseudo_labels"


def _gold_in(stages: Iterable[Stage], store: Store) -> int:
    """Gold labels that stages were trained on, were shown, or (a cheat) were filtered by; those of a split once."""
    counted: list[tuple[Split, int, int]] = []  # a split, the seed that made it, and how many of its labels
    for stage in stages:
        match stage:
            case Fit(learned=Gold(split=split)):
                counted.append((split, stage.split_seed, store.read_json(stage, "metrics.json")["num_rows"]))
            case Label(shown=Shown(solutions=Gold(split=split)) as shown):
                counted.append((split, shown.split_seed, shown.count))
            case Select():
                metrics = store.read_json(stage, "metrics.json")
                count = metrics.get("num_questions", metrics["num_rows"])
                golds = [source for source in stage.sources if isinstance(source, Gold)]
                counted += [(gold.split, stage.split_seed, count) for gold in golds]
    largest: dict[tuple[Split, int], int] = {}
    for split, seed, count in counted:
        largest[split, seed] = max(count, largest.get((split, seed), 0))
    return sum(largest.values())

"""MATH from a folder in the hub's layout: one configuration a subject. Nothing here asks the hub."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.tasks.composing_tasks import task
from tests.tasks.test_hub_choice import COMMIT, folder
from w2s_lightning.digest import digest
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.task import DataTask

pytestmark = pytest.mark.usefixtures("offline_datasets")

SMALL = ("limits.supervise=null", "limits.transfer=null", "limits.validation=null", "limits.test=null")


def rows(subject: str, split: str, count: int) -> list[Mapping[str, Any]]:
    return [
        {
            "problem": f"{split} {subject} {n}: halve {n}.",
            "level": f"Level {n % 5 + 1}" if n else "Level ?",
            "type": subject.title(),
            "solution": rf"Half of it is $\boxed{{\dfrac{{{n}}}{{2}}}}$.",
        }
        for n in range(count)
    ]


def place(tmp_path: Path, extra: Mapping[str, Any] | None = None) -> Path:
    files, card = {}, "---\nconfigs:\n"
    for subject in ("algebra", "geometry"):
        card += f"- config_name: {subject}\n  data_files:\n"
        for split, count in (("train", 40), ("test", 10)):
            more = [extra] if extra and split == "train" and subject == "algebra" else []
            files[f"{subject}/{split}-00000-of-00001.parquet"] = [*rows(subject, split, count), *more]
            card += f"  - split: {split}\n    path: {subject}/{split}-*\n"
    return folder(tmp_path / "math", files, card + "---\n")


def made(source: Path, *overrides: str) -> DataTask:
    found = task("math", f"source.path={source}", "source.config=[algebra,geometry]", *SMALL, *overrides)
    assert isinstance(found, DataTask)
    return found


def test_subjects_levels_and_boxed_answers_are_kept(tmp_path: Path) -> None:
    splits = made(place(tmp_path)).splits(0)
    assert len(splits.test) == 20
    assert {item.difficulty for item in splits.test} == {None, 1, 2, 3, 4, 5}
    for item in splits.test:
        number = item.question.split()[-1].rstrip(".")
        assert item.answer == rf"\frac{{{number}}}{{2}}"
        assert item.solution.endswith(rf"The answer is: \frac{{{number}}}{{2}}")


def test_a_solution_without_a_box_is_left_out_and_counted(tmp_path: Path) -> None:
    broken = {"problem": "broken", "level": "Level 1", "type": "Algebra", "solution": "so 3"}
    (notice,) = made(place(tmp_path, broken)).splits(0).notices
    assert notice.startswith("math (train): 1 question without a gold answer that parses left out (the first is ")


def test_gold_solutions_pass_their_own_judge(tmp_path: Path) -> None:
    task = made(place(tmp_path))
    test = task.splits(0).test
    verdicts = task.key.grade([item.answer for item in test], [item.solution for item in test])
    assert all(verdict.strict and verdict.flexible for verdict in verdicts)


def test_a_subject_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot load .*config topology"):
        made(place(tmp_path), "source.config=[topology]").splits(0)


def test_subjects_are_identity_and_the_commit_is_looked_up() -> None:
    known = task("math").resolved(lambda repository, revision: COMMIT)
    assert known.source.commit == COMMIT
    assert digest(task("math", "source.config=[algebra]")) != digest(task("math"))

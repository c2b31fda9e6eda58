"""What is refused before anything is computed, so that bad data leaves the store untouched.

The data of a task, files of supervisors and benchmarks are read here once, without a model. What devices can compute
is refused by `devices`, a setting by the configuration.
"""

from collections.abc import Iterable

from w2s_lightning.config.bind import JobSettings
from w2s_lightning.config.schema import Benchmark
from w2s_lightning.errors import UserError
from w2s_lightning.identity import Stage
from w2s_lightning.metrics.pgr import TOO_WIDE, predicted_half_width
from w2s_lightning.plan import Plan
from w2s_lightning.stages import Supervisor, Task
from w2s_lightning.tasks.example import SPLITS, Splits, trained_on
from w2s_lightning.tasks.supervisor_file import read_answers, read_solutions


def check_data(job: JobSettings, plan: Plan) -> tuple[str, ...]:
    """Read everything that the job needs besides models; raise UserError for what cannot be trained or judged on.

    Returns what was counted and dropped, and a warning when PGR's interval will be too wide to tell anything.
    """
    first = plan.rows[0]
    task = first.evaluate.task
    splits: Splits = task.splits(job.seed)
    check_supervisors(plan.stages, task, splits)
    notices = list(splits.notices)
    if first.benchmark is not None:
        rows = first.benchmark.task.rows()
        shared = shared_prompts(splits, rows.groups)
        its = f"{shared} of its {len(rows.pairs)} rows have a prompt that stands"
        refuse_shared(shared, job.benchmark, f"task.benchmark={job.benchmark.benchmark}: {its}")
        notices += rows.notices
    groups = len({example.group for example in splits.test})
    width = predicted_half_width(floor=0.7, ceiling=0.9, num_examples=len(splits.test), num_groups=groups)
    if width > TOO_WIDE:
        few = f"{len(splits.test)} test examples"
        notices.append(f"PGR's interval will be about +-{width:.2f} wide even at a gap of 0.2: {few}")
    return tuple(notices)


def shared_prompts(splits: Splits, groups: Iterable[str]) -> int:
    """How many of a benchmark's rows (by the group of their prompt) have a prompt of the training splits."""
    known = trained_on(splits)
    return sum(group in known for group in groups)


def refuse_shared(shared: int, settings: Benchmark, whose: str) -> None:
    """Raise UserError where anything is shared with the training splits, and that is not allowed."""
    if shared and not settings.benchmark_overlap:
        raise UserError(
            f"{whose} in the training splits: take other rows, or task.benchmark_overlap=true to have them counted in "
            "the result"
        )


def check_supervisors(stages: Iterable[Stage], task: Task, splits: Splits) -> None:
    """Raise UserError for a supervisor's file that does not answer what the stages ask of it."""
    found = {(one.file.path, one.split): one for stage in stages for one in stage.held(Supervisor)}
    for one in found.values():
        ids = [item.id for item in splits.of(one.split)]
        if task.kind == "reasoning":
            known = {item.id for split in SPLITS for item in splits.of(split)}
            read_solutions(one.file, ids, known=known, parse=task.key.parse)
        else:
            read_answers(one.file, ids, task.class_names)

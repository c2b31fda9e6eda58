"""The task of the world `arithmetic`: worded problems, asked just as the pretraining text asks them.

Problems are split by what is computed (`7 + 5 = 12 . 12 - 2 = 10`), never by wording: no computation of one split is
asked in another. Test problems depend on the task's own seed alone; a job's seed splits the rest.
"""

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import ClassVar

from w2s_lightning.errors import UserError
from w2s_lightning.schema import record
from w2s_lightning.tasks.answers import NumberKey
from w2s_lightning.tasks.draws import fingerprint
from w2s_lightning.tasks.example import SPLITS, Example, Split, Splits, group_id, question_id
from w2s_lightning.tasks.facts import PerSplit
from w2s_lightning.tasks.prompts import Prompts
from w2s_lightning.tasks.suggest import did_you_mean
from w2s_lightning.tasks.task import Reasoning
from w2s_lightning.tasks.templates import Template
from w2s_lightning.tasks.worlds.arithmetic import ArithmeticWorld, Grading

KEY = NumberKey(mark="answer", cut=r"<eos>|(?:^|\s)q\s")
_BATCH, _BATCHES = 2048, 64  # problems drawn at a time, and how often at most
_QUESTION_TOKENS, _STEP_TOKENS, _ANSWER_TOKENS = (10, 3), 6, 4


@record
class Arithmetic(Reasoning):
    """Problems of the world, as hard as `grading` says (the world has its own, for the pretraining text).

    `parts`: how much of all computations belongs to each split, as weights. `items`: problems per split. Difficulty is
    the number of steps.
    """

    key: ClassVar[NumberKey] = KEY

    name: str
    world: ArithmeticWorld
    seed: int
    grading: Grading
    parts: PerSplit
    items: PerSplit
    prompts: Prompts

    def __post_init__(self) -> None:
        self.world.check(self.grading)
        own, known = self.prompts, set(self.world.vocabulary())
        asked = Template.parse(own.question).fill({"question": ""})
        worked = Template.parse(own.worked).fill({"solution": "", "answer": ""})
        for word in " ".join([own.instruction, asked, worked, own.joint, own.separator]).split():
            if word not in known:
                raise UserError(f"task {self.name}: the world has no word {word!r}: {did_you_mean(word, known)}")

    @property
    def typical_solution_tokens(self) -> int:
        return round(_STEP_TOKENS * self._mean_steps) + _ANSWER_TOKENS

    @property
    def typical_tokens(self) -> int:
        fixed, each = _QUESTION_TOKENS
        return round(fixed + each * self._mean_steps) + self.typical_solution_tokens

    @property
    def _mean_steps(self) -> float:
        return sum(number * share for number, share in enumerate(self.grading.steps, start=1))

    def sizes(self) -> Mapping[Split, int]:
        """Problems per split: exact."""
        return self.items.by_split()

    def splits(self, seed: int) -> Splits:
        """The problems of job seed `seed`; raise UserError when there are too few different ones."""
        found: dict[Split, dict[str, Example]] = {split: {} for split in SPLITS}
        self._fill(found, ("test",), "test", self.seed)
        self._fill(found, ("supervise", "transfer", "validation"), "rest", self.seed, seed)
        made = {split: tuple(found[split].values()) for split in SPLITS}
        return Splits(**made, notices=())

    def _fill(self, found: dict[Split, dict[str, Example]], splits: tuple[Split, ...], *key: str | int) -> None:
        """Draw problems until each of these splits has enough; a problem goes where its computation belongs."""
        wanted = self.sizes()
        for text in self._drawn(*key):
            if all(len(found[split]) == wanted[split] for split in splits):
                return
            question, solution = _parts(text)
            home = self._home(solution, *key)
            if home in splits and len(found[home]) < wanted[home]:
                found[home].setdefault(question, self._problem(question, solution))
        short = {split: len(found[split]) for split in splits if len(found[split]) < wanted[split]}
        if short:
            split, there = next(iter(short.items()))
            raise UserError(
                f"task {self.name}: {_BATCH * _BATCHES} draws gave {there} different problems for {split}, not "
                f"task.items.{split}={wanted[split]}: ask for fewer, or for harder ones (task.grading)"
            )

    def _drawn(self, *key: str | int) -> Iterator[str]:
        for batch in range(_BATCHES):
            yield from self.world.texts(self.grading, _BATCH, "problems", *key, batch)

    def _home(self, solution: str, *key: str | int) -> Split:
        """The split that a computation belongs to: test or not by the task's seed, then by the key's."""
        parts = self.parts.by_split()
        test = parts.pop("test")
        if _place(test + sum(parts.values()), "test", self.seed, solution) < test:
            return "test"
        place, ends = _place(sum(parts.values()), *key, solution), list(accumulate(parts.values()))
        return next(split for split, end in zip(parts, ends, strict=True) if place < end)

    def _problem(self, question: str, solution: str) -> Example:
        words = solution.split()
        answer = words[words.index("answer") + 1]
        return Example(
            id=question_id(question),
            group=group_id(solution),
            texts=(question,),
            completions=(self.prompts.gold_solution(solution, answer),),
            answer=answer,
            difficulty=float(words.count("=")),
        )


def _parts(text: str) -> tuple[str, str]:
    """Question and solution of a problem as the world writes it."""
    question, solution = text.removeprefix("q ").removesuffix(" <eos>").split(" a ")
    return question, solution


def _place(parts: int, *key: str | int) -> int:
    """A number from 0 to `parts` - 1, as good as random."""
    return int(fingerprint(*key), 16) % parts

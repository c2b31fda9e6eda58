"""A file of claims (`docs/claims.yaml`): hypotheses, the quantities that decide them, what is said of each."""

from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Gt
from pydantic import Field, TypeAdapter, ValidationError

from w2s_lightning.atomic import read_yaml
from w2s_lightning.config.schema import Seed, record
from w2s_lightning.errors import UserError
from w2s_lightning.results.read_back import Finite

LEAST_SEEDS = 5
Says = Literal["above", "below", "equivalent"]
Overrides = tuple[Annotated[str, Field(pattern="=")], ...]


@record
class PGROf:
    """PGR of one row, as the ratio of means over seeds."""

    of: Literal["pgr"]
    row: str


@record
class DifferenceOf:
    """One row minus another row of the same jobs, paired by seed and example."""

    of: Literal["difference"]
    row: str
    minus: str


@record
class AgainstOf:
    """One row minus the same row in the jobs with the overrides `against`."""

    of: Literal["against"]
    row: str
    against: Overrides


@record
class ImitationOf:
    """How often a row repeats its supervisor's answer where that is wrong, minus the same in the jobs `against`
    (Burns et al. 2023, arXiv 2312.09390, section 5.1)."""

    of: Literal["imitation"]
    row: str
    against: Overrides


@record
class DepartureOf:
    """How far a row's score lies from `chance`, either way, in the mean over seeds."""

    of: Literal["departure"]
    row: str
    chance: Finite


Quantity = Annotated[PGROf | DifferenceOf | AgainstOf | ImitationOf | DepartureOf, Field(discriminator="of")]


@record
class Claim:
    """One hypothesis: which jobs decide it, by which quantity, and what it says of that.

    `above` and `below` are meant of `threshold`; `equivalent` means within `margin` of it, which only this needs. The
    metric is that of the jobs where none is named. Write `weak.pretrain.seed=${seed}` among the jobs' overrides where
    every seed is to have a weak model of its own pretraining.
    """

    id: str
    claim: str
    jobs: Overrides
    seeds: tuple[Seed, ...]
    quantity: Quantity
    says: Says
    threshold: Finite
    margin: Annotated[Finite, Gt(0)] | None = None
    metric: Literal["accuracy", "auroc"] | None = None

    def __post_init__(self) -> None:
        if len(set(self.seeds)) < LEAST_SEEDS:
            raise ValueError(f"a verdict needs {LEAST_SEEDS} different seeds or more: write seeds: [0, 1, 2, 3, 4]")
        if (self.says == "equivalent") != (self.margin is not None):
            raise ValueError("`says: equivalent` needs a `margin`, and only that: the largest difference that is none")


def read_claims(path: Path) -> list[Claim]:
    """The claims of a YAML file; raise UserError where one is not well formed."""
    try:
        found = read_yaml(path)
        for one in found if isinstance(found, list) else ():
            if isinstance(one, dict) and "rule" in one:
                raise UserError(
                    f"{path}: claim {one.get('id')}: `rule: above | not_above` has become `says: above | below | "
                    f"equivalent`, the last with `margin: 0.05`; what is not shown to be above is no longer held"
                )
        claims = TypeAdapter(list[Claim]).validate_python(found)
    except ValidationError as error:
        first = error.errors()[0]
        where = f"claim {'.'.join(map(str, first['loc']))}: " if first["loc"] else ""
        raise UserError(f"{path}: {where}{first['msg'].removeprefix('Value error, ')}") from None
    except FileNotFoundError:
        raise UserError(f"there is no {path}: name a file of claims with --claims FILE") from None
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    return claims

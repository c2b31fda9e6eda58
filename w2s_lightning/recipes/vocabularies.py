"""Whether two models read the same tokens, which everything that compares them token by token needs."""

from typing import NamedTuple

from w2s_lightning.content import vocabulary
from w2s_lightning.errors import UserError
from w2s_lightning.stages import Fit, FolderWeights, HubWeights, Pretrain, Weights


class ByToken(NamedTuple):
    """What compares token by token, and what to take in its place where the vocabularies differ."""

    what: str
    instead: str


TOKEN_LEVEL = ByToken("token-level distillation", "use paradigm.reasoning.level=sequence")
WSPO = ByToken("objective=wspo", "take objective=dpo")


def refuse_unequal(supervisor: Weights | Fit, student: Weights, why: ByToken) -> None:
    """Raise UserError for models known to have different vocabularies; the fit looks at opened tokenizers again."""
    one, other = _vocabulary(supervisor), _vocabulary(student)
    if one and other and one != other:
        raise different(supervisor.name, len(one), f"{student.name} {len(other)}", why)


def different(name: str, count: int, student: str, why: ByToken) -> UserError:
    """The refusal of a supervisor with `count` tokens of its own."""
    return UserError(
        f"{why.what} compares token by token, and {name} has another vocabulary ({count} tokens, {student}): "
        f"{why.instead}"
    )


def _vocabulary(weights: Weights | Fit) -> dict[str, int] | None:
    """Token ids by token, None where only the opened tokenizer knows them."""
    match weights:
        case Fit():
            return _vocabulary(weights.weights)
        case Pretrain(world=world):
            return {word: place for place, word in enumerate(world.vocabulary())}
        case FolderWeights(folder=folder):
            return vocabulary(folder.path)
        case HubWeights():
            return None

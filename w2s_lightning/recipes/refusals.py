"""What does not go together, told before anything runs: settings and kinds of task, models and what they cannot do."""

from typing import Any, NamedTuple

from w2s_lightning.errors import UserError
from w2s_lightning.model_folder import has_chat_template, vocabulary
from w2s_lightning.stages import Fit, FolderWeights, HubWeights, Pretrain, Weights


def refuse_mixed(setting: Any) -> None:
    """Raise UserError for a `Setting` whose task, models and settings do not go together."""
    task, settings = setting.task, setting.settings.values()
    if len({chosen.readout == "implicit" for chosen in settings}) > 1:
        raise UserError(
            "floor, student and ceiling read either implicit rewards or none of them does: set fit.readout for all"
        )
    if task.kind == "reasoning":
        _refuse_for_solutions(setting)
    elif setting.test_samples is not None:
        raise UserError(f"task.test_samples is for reasoning tasks, and {task.name} is none: leave it out")
    elif setting.judge.metric == "auroc" and len(task.class_names) != 2:
        raise UserError(
            f"task.judge.metric=auroc needs two classes, task {task.name} has {len(task.class_names)}: accuracy"
        )


def _refuse_for_solutions(setting: Any) -> None:
    """Raise UserError for settings that only tasks with classes have."""
    if any(chosen.generative_epochs for chosen in setting.settings.values()):
        raise UserError(
            "fit.generative_epochs is for choice and preference tasks: fits of a reasoning task model text anyway"
        )
    if setting.middle:
        raise UserError("reasoning tasks have no bootstrapping through middle models: leave model@middle.* out")
    template = setting.task.format.chat_template
    for model in (setting.weak, setting.strong):
        if model.encoder:
            raise UserError(f"{model.name} is an encoder and writes no solutions: take a decoder")
        folder = model.weights.folder.path if isinstance(model.weights, FolderWeights) else None
        has_none = isinstance(model.weights, Pretrain) or (folder is not None and not has_chat_template(folder))
        if template is not None and has_none:  # of a hub model only its tokenizer can tell
            raise UserError(
                f"task.format.chat_template={template}: the tokenizer of {model.name} "
                "has none: take plain text (task.format.chat_template=null) or an instruction-tuned model"
            )
    for readout in {chosen.readout for chosen in setting.settings.values()} - {"head", "text"}:
        raise UserError(f"fit.readout={readout}: solutions are read as text, whatever it says: leave it out")
    if setting.judge.metric != "accuracy":
        raise UserError(f"task.judge.metric={setting.judge.metric}: solutions are right or wrong: use accuracy")


# ---------------------------------------------------------------- models that must read the same tokens


class ByToken(NamedTuple):
    """What compares token by token, and what to take in its place where the vocabularies differ."""

    what: str
    instead: str


TOKEN_LEVEL = ByToken("token-level distillation", "use paradigm.level=sequence")
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

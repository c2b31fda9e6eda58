"""From a stage's weights to a network ready to run, with its tokenizer: what fit and label have in common."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from w2s_lightning.content import Folder
from w2s_lightning.errors import UserError
from w2s_lightning.models.build import Shape, build, max_positions, reload
from w2s_lightning.models.networks import Classifier, Network, Probe
from w2s_lightning.models.source import Source, check_folder
from w2s_lightning.models.tokenizer import load_tokenizer
from w2s_lightning.stages import BareModel, Fit, FolderWeights, HubWeights, Pretrain, Task, Weights
from w2s_lightning.store import Store


@dataclass(frozen=True)
class Opened:
    """A network, its tokenizer, and the longest text in tokens that both allow."""

    network: Network
    tokenizer: PreTrainedTokenizerBase
    max_length: int

    @property
    def classifier(self) -> Classifier:
        """The network as one whose head can be trained alone; UserError for the verdict words' read-out."""
        if not isinstance(self.network, Classifier):
            raise UserError("a probe trains a head: use fit.readout=head, or fit.tuning=full with the verdict words")
        return self.network

    @property
    def probe(self) -> Probe:
        """The head alone, sharing its weights with the network."""
        return Probe(self.classifier.head)


def _shape_of(task: Task) -> Shape:
    """K outputs for one text, or one output where K options are scored as texts of their own; none for solutions."""
    if task.kind == "reasoning":
        return Shape(0, ())
    return Shape(1 if task.layout == "options" else task.num_classes, tuple(task.words))


def open_model(source: Fit | BareModel, task: Task, store: Store, *, dropout: float = 0.0, seed: int = 0) -> Opened:
    """The network that a finished fit left, or pretrained weights with an untouched read-out for `task`.

    Of the latter `seed` draws weights that the source lacks.
    """
    weights = _source(source if isinstance(source, Fit) else source.weights, store)
    tokenizer = load_tokenizer(weights)
    torch.manual_seed(seed)
    if isinstance(source, Fit):
        network = reload(weights, tokenizer, source.readout, _shape_of(source.task), numerics=source.numerics)
    else:
        shape = _shape_of(task)
        network = build(weights, tokenizer, source.readout, shape, numerics=source.numerics, dropout=dropout)
    limit = min(source.numerics.max_length, max_positions(network.model.config, tokenizer))
    return Opened(network, tokenizer, limit)


def _source(weights: Weights | Fit, store: Store) -> Source:
    match weights:
        case Pretrain() | Fit():
            return Source(str(store.open(weights) / "model"))
        case HubWeights(path=path, commit=commit):
            return Source(path, commit)
        case FolderWeights(folder=folder):
            check_folder(Path(folder.path))
            if Folder.of_model(folder.path).sha256 != folder.sha256:
                raise UserError(f"{folder.path} changed after the plan was made: run the same command again")
            return Source(str(folder.path))

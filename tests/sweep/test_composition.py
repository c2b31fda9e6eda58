"""The quick composition against Hydra's own, on the jobs of every sweep file."""

import pytest
from omegaconf import OmegaConf

from tests.sweep.planning import SWEEPS, composed_by_hydra, hydra_command

FEW = 3
MORE = ["+fit.student={lr_scale: 0.5, epochs: 1}", "~seed", "trainer.devices=[0,1]", "+tracking.tags=[a]"]


def test_there_are_sweep_files() -> None:
    assert len(SWEEPS) >= 9
    assert {"size_pairs", "paradigms", "objectives", "gap", "bootstrapping", "lr", "label_noise", "claims"} < {*SWEEPS}


def compare(arguments: list[str], every: bool) -> None:
    with hydra_command(*arguments) as read:
        jobs = read.command.jobs
        for overrides in jobs if every else jobs[:: max(1, len(jobs) // FEW)]:
            quick, choices = read.composer.compose(overrides)
            slow, expected = composed_by_hydra(read.master, overrides)
            assert OmegaConf.to_yaml(quick, resolve=True) == OmegaConf.to_yaml(slow, resolve=True), overrides
            assert dict(choices) == expected, overrides


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", SWEEPS)
def test_quick_composition_equals_hydras_on_jobs_of_every_sweep(name: str, every: bool) -> None:
    compare([f"sweeps={name}"], every)


def test_quick_composition_equals_hydras_for_unusual_overrides() -> None:
    compare(["sweeps=smoke", "task=local_choice,fact_pairs", "paradigm=distillation", *MORE], every=False)


def test_groups_are_composed_once_for_all_values() -> None:
    with hydra_command("model@weak=nano,micro", "seed=range(10)", "fit.lr_scale=1,2") as read:
        for overrides in read.command.jobs:
            read.composer.compose(overrides)
        assert len(read.composer._bases) == 2


def test_a_composed_job_does_not_share_its_values_with_the_next() -> None:
    with hydra_command("seed=0,1") as read:
        first, _ = read.composer.compose(["seed=0"])
        read.composer.compose(["seed=1"])
        assert first.seed == 0

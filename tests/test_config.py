"""The command line as a user types it: what composes, and what each mistake is answered with."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import train as entry

ROOT = Path(__file__).resolve().parent.parent


def train(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd or ROOT, timeout=120)


MISTAKES = [
    (["task=fact_pair"], "there is no task `fact_pair`", "did you mean `fact_pairs`?"),
    (["model@weak=mirco"], "there is no model `mirco`", "did you mean `micro`?"),
    (["model@weak="], "model is given no value", "micro, mini, nano"),
    (["paradigm=weak2strong"], "there is no paradigm `weak2strong`", "type `paradigm=weak_to_strong`"),
    (["objective=logcnf"], "there is no objective `logcnf`", "did you mean `logconf`?"),
    (["tsk=fact_pairs"], "tsk", "did you mean `task`?"),
    (["fit.epohcs=3"], "unknown key fit.epohcs", "did you mean `epochs`?"),
    (["+fit.epohcs=3"], "unknown key fit.epohcs", "did you mean `epochs`?"),
    (["+fit.student.epohcs=3"], "epohcs", "did you mean `epochs`?"),
    (["paradigm.threshhold=0.5"], "paradigm.threshhold", "did you mean `threshold`?"),
    (["paradigm.threshold=75"], "paradigm.threshold=75", "less than or equal to 1"),
    (["objective=logconf", "objective.cmax=0.5"], "cmax", "did you mean `c_max`?"),
    (["fit.epochs=-1"], "fit.epochs=-1", "greater than 0"),
    (["fit.lr_scale=-1"], "fit.lr_scale=-1", "greater than or equal to 0"),
    (["weak.width=-8"], "weak.width=-8", "greater than or equal to 1"),
    (["fit.rows_per_step=many"], "fit.rows_per_step='many'", "integer"),
    (["seed=-1"], "seed=-1 (conf/config.yaml)", "greater than or equal to 0"),
    (["seed="], "seed='' (conf/config.yaml)", "should be a valid integer"),
    (["model@weak=local"], "weak.path", "weak.path="),
    (["model@weak=local", "weak.path=/nowhere"], "folder not found", "/nowhere"),
    (["task=local_choice", "task.train_file=/nowhere.csv", "task.test_file=/nowhere.csv"], "/nowhere.csv", "JSONL"),
    (["fit.lr_scale=inf"], "fit.lr_scale=inf", "expected a finite number"),
    (["objective=logconf", "objective.c_max=2"], "objective.c_max=2", "less than or equal to 1"),
    (["objective=logconf", "objective.warmup=foo"], "objective.warmup='foo'", "openai_2023"),
    (["objective=product", "objective.alpha=abc"], "objective.alpha='abc'", "number"),
    (["objective=reverse_kl", "objective.floor=0"], "objective.floor=0", "greater than 0"),
    (["+sede=3"], "unknown key sede", "did you mean `seed`?"),
    (["model@wek=nano"], "unknown key model@wek", "did you mean `model@weak`?"),
    (["middle.m1.lr.full=3"], "middle.m1.lr.full goes with other files", "`model@middle.m1="),
    (["supervisor.test_file=answers.csv"], "supervisor.test_file goes with supervisor.file", "give both"),
    (["strong.heads=5"], "small: width=64", "a multiple of twice its heads=5"),
    (["seed=5000000000"], "seed=5000000000 (conf/config.yaml)", "less than 4294967296"),
    (["weak.revision=main"], "weak.revision goes with other files of conf/model/", "`model@weak="),
    (["+fit.epochs=3"], "fit.epochs has a value already", "without the +"),
    (["tracking/foo=bar"], "unknown key tracking/foo", "`tracking`"),
    (["~fit.epohcs"], "unknown key fit.epohcs", "did you mean `epochs`?"),
    (["fit=[a"], "cannot read `fit=[a`", "a bracket is not closed"),
    (["weak.path=/some/model"], "weak.path goes with other files of conf/model/", "`model@weak="),
    (["model@weak=local", f"weak.path={ROOT}/conf"], "conf is not a model folder", "config.json is missing"),
    (["trainer.accelerator=banana"], "trainer.accelerator='banana'", "'gpu'"),
    (["trainer.threads=-1"], "trainer.threads=-1", "greater than or equal to 0"),
    (["task.judge.metric=acc"], "task.judge.metric='acc'", "accuracy"),
    (["paradigm.iterations=3"], "paradigm.iterations does nothing here", "fact_pairs is of kind choice"),
    (["task=arithmetic", "paradigm.supervisors=2"], "paradigm.supervisors does nothing here", "kind reasoning"),
    (["task=arithmetic", "paradigm=self_improvement", "paradigm.keep=0.3"], "paradigm.keep does nothing", "reasoning"),
    (["generation.temperature=0.5"], "generation.temperature does nothing here", "fact_pairs is of kind choice"),
    (["objective=dpo", "objective._target_=os.path.join"], "lies in the package 'os'", "plugins=[os]"),
]


@pytest.mark.parametrize(("arguments", "what", "instead"), MISTAKES, ids=[" ".join(m[0]) for m in MISTAKES])
def test_a_mistake_is_answered_in_one_or_two_lines(
    arguments: list[str],
    what: str,
    instead: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments, "run=plan", f"paths.store={tmp_path}/store"])
    monkeypatch.setattr(entry, "FAILED", [])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # put back afterwards: the program sets it for its process
    monkeypatch.chdir(tmp_path)
    assert entry.main() == 1
    told = capsys.readouterr().err
    assert what in told
    assert instead in told
    assert "Traceback" not in told
    assert len(told.strip().splitlines()) <= 2
    assert not (tmp_path / "store").exists()


def test_a_mistake_ends_the_process_with_code_1(tmp_path: Path) -> None:
    done = train("task=fact_pair", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "error: there is no task `fact_pair` (conf/task/): did you mean `fact_pairs`?\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_device_that_is_not_there_leaves_nothing_behind(tmp_path: Path) -> None:
    done = train("trainer=gpu", f"paths.store={tmp_path}/store", f"paths.outputs={tmp_path}/outputs", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: trainer.accelerator=gpu: torch finds no such device here: take trainer=cpu")
    assert list(tmp_path.iterdir()) == []


def test_a_typo_in_a_yaml_file_names_file_and_nearest_key(tmp_path: Path) -> None:
    (tmp_path / "fit").mkdir()
    (tmp_path / "fit" / "mine.yaml").write_text("defaults: [default, _self_]\nepohcs: 3\n")
    done = train(f"hydra.searchpath=[file://{tmp_path}]", "fit=mine", "run=plan", cwd=tmp_path)
    assert done.returncode == 1
    assert "unknown key fit.epohcs (conf/fit/mine.yaml): did you mean `epochs`?" in done.stderr


def test_cfg_job_prints_the_configuration_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys, runpy; sys.argv = ['train.py', '--cfg', 'job']\n"
        f"try: runpy.run_path({str(ROOT / 'train.py')!r}, run_name='__main__')\n"
        "except SystemExit as done: assert not done.code, done.code\n"
        "heavy = {'torch', 'transformers', 'pytorch_lightning', 'wandb'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "_target_: w2s_lightning.recipes.weak_to_strong.build" in done.stdout


@pytest.mark.parametrize(
    ("typed", "choices"),
    [
        ("task=fac", {"task=fact_pairs", "task=fact_claims"}),
        ("model@weak=", {"model@weak=nano", "model@weak=qwen2_5_7b", "model@weak=local"}),
        ("model@middle.m1=mi", {"model@middle.m1=micro", "model@middle.m1=mini"}),
    ],
)
def test_shell_completion_offers_the_groups(typed: str, choices: set[str]) -> None:
    environment = {"COMP_LINE": f"train.py {typed}", "PATH": "/usr/bin:/bin"}
    offered = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), "--shell-completion", "query=bash"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
    )
    assert choices <= set(offered.stdout.split())


def test_help_says_what_to_type_and_what_there_is_to_choose(tmp_path: Path) -> None:
    done = train("--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "python train.py run=plan run.accelerator=h100x8" in done.stdout
    assert "./folder, Qwen/Qwen2.5-7B" in done.stdout
    assert "paradigm: distillation, self_improvement, supervised, weak_to_strong" in done.stdout
    assert len(done.stdout.splitlines()) < 40


def test_plan_lists_stages_and_runs_nothing(tmp_path: Path) -> None:
    done = train("run=plan", "run.accelerator=h100x8", "paths.store=s", "paths.outputs=o", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "small-fact_pairs-micro_transfer-xent-s0-test" in done.stdout.splitlines()  # whole, in 80 columns
    assert re.search(r"to compute: about .* min .* s on 8 x h100", done.stdout)
    assert "FLOPs" in done.stdout
    assert list(tmp_path.iterdir()) == []

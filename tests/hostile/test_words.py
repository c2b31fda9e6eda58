"""What people type first, out of habit or in a hurry: each is answered with a line that works."""

import shlex

import pytest

from tests.composing import job
from tests.hostile.asking import Ask, Row, named
from w2s_lightning.config.habits import instead

# What is typed, and the line that it is answered with, which is then typed too.
HABITS = [
    ("weak=nano", "model@weak=nano"),
    ("strong=qwen2_5_7b", "model@strong=qwen2_5_7b"),
    ("model=nano", "model@weak=nano"),
    ("model.name=nano", "model@strong=nano"),
    ("model/weak=nano", "model@weak=nano"),
    ("middle=mini", "model@middle.m1=mini"),
    ("gold=xent", "objective@gold.choice=xent"),
    ("supervisor=labels.csv", "supervisor.file=labels.csv"),
    ("dataset=fact_pairs", "task=fact_pairs"),
    ("lr=1e-4", "weak.lr.full=1e-4 strong.lr.full=1e-4"),
    ("fit.lr=1e-4", "weak.lr.full=1e-4 strong.lr.full=1e-4"),
    ("+fit.learning_rate=0.1", "weak.lr.full=0.1 strong.lr.full=0.1"),
    ("optimizer.lr=1e-4", "weak.lr.full=1e-4 strong.lr.full=1e-4"),
    ("epochs=3", "fit.epochs=3"),
    ("trainer.max_epochs=3", "fit.epochs=3"),
    ("training_args.num_train_epochs=3", "fit.epochs=3"),
    ("batch_size=8", "fit.rows_per_step=8"),
    ("data.batch_size=8", "fit.rows_per_step=8"),
    ("max_seq_length=128", "fit.max_length=128"),
    ("lr_scale=2", "fit.lr_scale=2"),
    ("readout=words", "fit.readout=words"),
    ("labels=hard", "fit.labels=hard"),
    ("metric=auroc", "task.judge.metric=auroc"),
    ("mode=plan", "run.mode=plan"),
    ("hydra.run.dir=x", "paths.outputs=x"),
    ("bf16=true", "fit.precision=bf16"),
    ("lora_r=8", "fit=lora fit.lora.rank=8"),
    ("fit.objective=logconf", "objective=logconf"),
    ("loss=logconf", "objective=logconf"),
    ("gpu=1", "trainer=gpu"),
    ("gpus=2", "trainer=gpu trainer.devices=2"),
    ("trainer.gpus=2", "trainer=gpu trainer.devices=2"),
    ("device=cuda", "trainer=gpu"),
    ("output_dir=x", "paths.outputs=x"),
    ("cache_dir=x", "paths.store=x"),
    ("wandb=true", "tracking=online"),
    ("wandb.project=x", "tracking.project=x"),
    ("wandb.mode=offline", "tracking=online"),
    ("run_name=x", "tracking.group=x"),
    ("dry_run=true", "run=plan"),
    ("--epochs 3", "fit.epochs=3"),
    ("--learning-rate 0.1", "weak.lr.full=0.1 strong.lr.full=0.1"),
    ("--task fact_pairs", "task=fact_pairs"),
    ("--fit.epochs=3", "fit.epochs=3"),
    ("--dry-run", "run=plan"),
    ("--weak nano", "model@weak=nano"),
    ("plan", "run=plan"),
    ("paradigm=w2s", "paradigm=weak_to_strong"),
    ("head_init=zeros", "weak.head_init=zeros strong.head_init=zeros"),
    ("lora", "fit=lora"),
    ("nano", "model@weak=nano"),
    ("model@weak=[nano,micro]", "model@weak=nano"),
    ("fit=[lora,probe]", "fit=lora"),
    ("task=[fact_pairs,sciq]", "task=fact_pairs"),
    ("seed==3", "seed=3"),
    ("“seed=3”", "seed=3"),
    ("“seed”=3", "seed=3"),
    ("seed＝3", "seed=3"),
    ("fit.epochs＝“3”", "fit.epochs=3"),
    ("fit．epochs=3", "fit.epochs=3"),
    ("model＠weak=nano", "model@weak=nano"),
    ("seed=３", "seed=3"),
    ("seed=«3»", "seed=3"),
    ("\u200bseed=3", "seed=3"),
    ("\ufeffseed=3", "seed=3"),
    ("task=‘fact_pairs’", "task=fact_pairs"),
    ("seed:=3", "seed=3"),
    ("s\u0435\u0435d=3", "seed=3"),
    ("task=f\u0430ct_pairs", "task=fact_pairs"),
    ("m\u043edel@weak=nano", "model@weak=nano"),
    ("fit.epochs===3", "fit.epochs=3"),
    ("--num_train_epochs 3", "fit.epochs=3"),
    ("--per_device_train_batch_size 8", "fit.rows_per_step=8"),
    ("--trainer.max_epochs 3", "fit.epochs=3"),
    ("--model.lr=1e-3", "weak.lr.full=1e-3 strong.lr.full=1e-3"),
    ("--data.batch_size 8", "fit.rows_per_step=8"),
    ("--trainer.devices 2", "trainer=gpu trainer.devices=2"),
    ("--model nano", "model@strong=nano"),
    ("--tasks fact_pairs", "task=fact_pairs"),
    ("--seed_everything 3", "seed=3"),
    ("--report_to wandb", "tracking=online"),
    ("--lora_r 16", "fit=lora fit.lora.rank=16"),
    ("tracking.project=7", """'tracking.project="7"'"""),
    (["paths.store=~/x"], """'paths.store="~/x"'"""),
    (["paths.outputs=a (1)"], """'paths.outputs="a (1)"'"""),
]
# What is typed, and words of the answer, where no one line is meant.
OTHERS: list[Row] = [
    ("--config x", ["there is no flag --config", "key=value"]),
    ("-x", "there is no flag -x"),
    ("--info x", ["invalid choice: 'x'", "--hydra-help"]),
    ("seed=1 --cfg job fit=lora", "type `python train.py --cfg job seed=1 fit=lora"),
    ("-m seed=1,2 -m run=plan", "type `python train.py -m seed=1,2 run=plan`"),
    ("-m seed=1,2 --multirun fit=lora", "type `python train.py -m seed=1,2 fit=lora`"),
    ("-m", ["-m runs a grid", "`-m sweeps=smoke`"]),
    ("seed=1 seed=2", ["seed is given twice, as `1` and as `2`", "`-m seed=1,2` for a job each"]),
    ("fit=lora +fit=probe", "fit is given twice"),
    ("-m seed=1,2 seed=3,4", "`-m seed=1,2,3,4`"),
    ("-m sweeps=smoke sweeps=gap", "keep one"),
    ("sweeps=smoke", "`python train.py -m sweeps=smoke`"),
    ("--h\u0435lp", "type `--help`"),
    ("--package foo", "type `python train.py --cfg job --package foo`"),
    ("-m lr=1e-4,1e-5", "`weak.lr.full=0.0001 strong.lr.full=0.0001`"),
    ("-m model@weak=[nano,micro],mini", "`-m model@weak=nano,micro,mini`"),
    ("seed=range(3)", "run a grid with -m"),
    ("hydra.launcher.n_jobs=4", "`hydra.launcher.slots=4`"),
    ("hydra.launcher.slts=4", "did you mean `slots`?"),
    ("rounds=3", "`paradigm.rounds=3`"),
    ("seeds=3", '`-m "seed=range(3)"`'),
    ("seed=0-4", '`-m "seed=range(5)"`'),
    ("-m seed=2..4", '`-m "seed=range(2,5)"`'),
    ("task=local_choice task.text=review", "type `task.reader.text=review`"),
    ("task=a/train.csv", "task=local_choice task.train_file=a/train.csv task.test_file=..."),
    ("experiment=size_pairs", "`-m sweeps=size_pairs`"),
    ("resume=true", "goes on from its last checkpoint"),
    ("task.words=[false,true]", """'task.words=["false","true"]'"""),
    ("task.words=[0,1]", """'task.words=["0","1"]'"""),
    ("~task", "a job has one task"),
    ("~fit", "a job has one fit"),
    ("help", "type `--help`"),
    ("seed", "type `seed=...`"),
    ("paradigm", "type `paradigm=...`"),
    ("seed = 3", "without dashes and spaces"),
    ("=3", "without dashes and spaces"),
    ("—m", "type `-m`"),
    ("\u2014help", "type `--help`"),
    ("items.test=1e10", "type `task.items.test=1e10`"),
    ("width=1e9", "type `weak.width=1e9` or `strong.width=1e9`"),
    ("supervisor.flie=x.csv", "did you mean `file`?"),
    ("–-help", "type `--help`"),
    ("fit=[a", "a bracket is not closed"),
    (["tracking.project='a"], "a quote is not closed"),
    ("run.accelerator=banana", ["run.accelerator=banana", "h100x64"]),
    ("run=job run.accelerator=h100", "add run=plan"),
    ("model@weak=../../../..", "is not a model folder"),
    ("model@weak=/etc/passwd", "folder not found"),
    ("model@weak=./nothing", "folder not found"),
    ("model@weak=nothing", "a folder is typed ./nothing"),
    ("model@weak=a/b/c", "there is no model `a/b/c`"),
    ("model@weak=nobody/nothing", "how large is nobody/nothing?"),
    ("model@strong=./x strong.lr.full=-1", "strong.lr.full=-1 (./x)"),
    ("weak=null", "model@weak="),
    ("weak.lr=1e-4", "weak.lr.full=..."),
    ("task.items=100", "task.items.supervise=..."),
    ("fit", "a job trains and tests by itself"),
    ("validate", "a job trains and tests by itself"),
    ("--ckpt_path last", "goes on from its last checkpoint"),
    ("--push_to_hub", "there is no flag --push_to_hub"),
    ("--model_args pretrained=gpt2", "there is no flag --model_args"),
    ("~seed", "a job has one seed"),
    ("~fit.epochs", "fit.epochs is missing"),
    ("~seed=1", "seed"),
    ("+seed=1", "without the +"),
    ("+fit.x=1", "unknown key fit.x"),
    ("+strong.lr.zz=1", "unknown key strong.lr.zz"),
    ("-m seed=range(0)", "seed has an empty axis"),
    ("-m seed=choice()", "cannot read"),
    ("-m seed=1,", "cannot read"),
    ("-m seed=interval(0,1)", "an axis of a grid lists its values"),
    ("-m model@weak=glob(*)", "an axis is one list or one range"),
    ("model@weak=glob(*)", "run a grid with -m"),
    ("-m seed=1，2", "type `seed=1,2`"),
    ("hydra/launcher=joblib", ["there is no hydra/launcher `joblib`", "basic, pool, ray_cluster, slurm"]),
    ("hydra/launcher=slrm", "did you mean `slurm`?"),
    ("hydra/sweeper=optuna", "there is no hydra/sweeper `optuna`"),
    ("hydra/output=x", "has no effect here"),
    (["x" * 5000], "(5000 characters) is no key"),
    (["x" * 5000 + "=1"], "(5000 characters) is no key"),
    (["--" + "x" * 5000], "(5002 characters) is no key"),
    (["task=" + "x" * 5000], "(5000 characters) is no key and no name"),
    (["-m", "model@weak=nano," + "x" * 5000], "(5000 characters) is no key and no name"),
    (["seed=" + "x" * 5000], "(5002 characters)"),
    (["paths.store=" + "x" * 5000], "File name too long"),
]
# Hydra's own node and flags: code of strangers is refused before it is imported, what does nothing here is said.
FOREIGN = "only classes of installed Hydra plugins may stand there"
IDLE = "has no effect here"
HYDRAS: list[Row] = [
    ("+hydra.callbacks.x._target_=os.system", ["hydra.callbacks.x._target_=os.system", FOREIGN, "`plugins=[os]`"]),
    ("+hydra.callbacks.x={_target_:subprocess.Popen,args:[touch,PWNED]}", FOREIGN),
    ("+hydra.callbacks.x._target_=w2s_lightning.atomic.write_whole +hydra.callbacks.x.path=x", FOREIGN),
    ("+hydra.callbacks.x._target_=hydra_plugins.w2s.CONF.unlink", FOREIGN),
    (["+hydra.callbacks.x._target_=${task.name}"], "hydra.callbacks.x._target_=fact_pairs"),
    ("hydra.launcher._target_=os.system", FOREIGN),
    ("-m hydra.launcher._target_=os.system seed=0,1", FOREIGN),
    ("-m +hydra.launcher.x._target_=os.getpid seed=0,1", "hydra.launcher.x._target_=os.getpid"),
    ("-m hydra.sweeper._target_=os.system seed=0,1", FOREIGN),
    ("-m hydra/sweeper=nothing seed=0,1", "there is no hydra/sweeper `nothing`"),
    ("hydra/job_logging=default hydra.job_logging.handlers.console.class=os.system", FOREIGN),
    ("hydra/hydra_logging=default hydra.hydra_logging.handlers.console.stream=ext://os.system", FOREIGN),
    ("+hydra.job_logging.handlers={x:{class:logging.os.system}}", FOREIGN),
    (["+hydra.job_logging.handlers.x={'()':os.system}"], "keys and texts within brackets are typed without quotes"),
    ("hydra.output_subdir=../x", IDLE),
    ("hydra.sweep.subdir=../../x", IDLE),
    ("hydra.job.chdir=true", IDLE),
    ("hydra.job.name=../../x", IDLE),
    ("+hydra.job.env_set.LD_PRELOAD=/tmp/x.so", [IDLE, "variables are set in the shell"]),
    ("hydra={output_subdir:/etc}", IDLE),
    ("hydra.searchpath=[/nothing]", ["path=/nothing is not available", "Hydra cannot do that"]),
    ("hydra.searchpath=[s3://x]", "No config source registered for schema s3"),
    ("hydra.searchpath=3", "must be a list of strings"),
    ("--config-dir /nothing", "'/nothing' not found"),
    ("--config-path /etc", "there is one configuration"),
    ("--config-name ../../x", "there is one configuration"),
    ("--experimental-rerun x", "there is no --experimental-rerun"),
    ("--resolve", "type `python train.py --cfg job --resolve`"),
    ("--shell-completion", "Expecting one subcommand"),
    ("--cfg banana", "invalid choice: 'banana'"),
]
GRAMMAR = ("EQUAL", "EOF", "Lexer", "viable", "extraneous", "mismatched", "interpolation", "instance of")


@pytest.mark.parametrize("row", [*HABITS, *OTHERS, *HYDRAS], ids=map(named, [*HABITS, *OTHERS, *HYDRAS]))
def test_what_people_type_first(ask: Ask, row: Row) -> None:
    said = ask(*row, bare=row[0][:2] == "-m").text
    assert not [word for word in GRAMMAR if word in said]


@pytest.mark.parametrize("word", ["+x=1", "++x=1", "~x", "x.y=1"])
def test_names_that_nobody_types_are_not_offered(ask: Ask, word: str) -> None:
    said = ask(word, ["unknown key x", "seed"]).text
    assert not [name for name in ("set_by_task", "paradigm_name", "for_task", "hydra", "benchmark") if name in said]


@pytest.mark.parametrize("line", sorted({line for _, line in HABITS}))
def test_the_line_that_is_told_works(line: str) -> None:
    job(*shlex.split(line))


def test_keys_of_this_project_and_of_nobody_are_no_habit() -> None:
    assert instead("weak.lr.full", "1") is None
    assert instead("my.lr", "1") is None


@pytest.mark.parametrize("flags", ["--help", "-sc query=bash"])
def test_only_what_may_be_chosen_is_listed(ask: Ask, flags: str) -> None:
    ask.monkeypatch.setenv("COMP_LINE", "python train.py model@weak=")
    said = ask(flags, ["qwen2_5_7b", "smollm2_360m"], 0, bare=True).text
    assert not [word for word in said.split() if word.partition("=")[2].startswith("_") or word.startswith("_")]
    assert "for_task" not in said

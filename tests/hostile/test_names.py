"""Names and numbers that cannot work, and the paths that are built of words: each is refused where it is bound."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from tests.composing import composed, job, plan
from tests.hostile.asking import Ask, Row, named
from w2s_lightning.atomic import below
from w2s_lightning.config.bind import build
from w2s_lightning.errors import UserError
from w2s_lightning.refs import Refs
from w2s_lightning.report.records import JobRecord
from w2s_lightning.report.sources import _told_apart
from w2s_lightning.show.terminal import StageProgress

LETTERS = "expected up to 80 letters, digits and . _ + -"
DEVICES = "expected how many (2), which GPUs ('0,2'), or auto"
NAMES: list[Row] = [
    ("task.name=../../OUT", ["task.name='../../OUT' (conf/task/fact_pairs.yaml)", LETTERS]),
    ("weak.name=../../X", ["weak.name='../../X' (conf/model/micro.yaml)", LETTERS]),
    ("weak.name=../../../OUT", LETTERS),
    ("strong.name=a/b/c", LETTERS),
    ("strong.name=a/..", LETTERS),
    ("strong.name=.hidden", LETTERS),
    ("strong.name=", LETTERS),
    ("task.world.name=/etc", ["task.world.name='/etc'", LETTERS]),
    (["weak.name='two words'"], LETTERS),
    (["weak.name='a\nb'"], LETTERS),
    (["weak.name='\x1b[31mred'"], LETTERS),
    (["weak.name='a\udcff'"], LETTERS),
    (["weak.name=" + "n" * 300], ["(302 characters)", LETTERS]),
    ("model@weak=pythia_70m weak.path=../../X", "expected a repository of the hub, owner/name"),
    ("model@middle.m1=mini middle.m1.name=../X", ["middle.m1.name", LETTERS]),
]
NUMBERS: list[Row] = [
    ("trainer.threads=100000", ["trainer.threads=100000 (conf/trainer/auto.yaml)", "less than or equal to 1024"]),
    ("fit.rows_per_step=1e20", "fit.rows_per_step=1e+20"),
    ("fit.rows_per_step=1e12", "less than or equal to 10000000"),
    ("fit.epochs=1e18", "less than or equal to 10000"),
    ("+fit.student.epochs=1e18", "less than or equal to 10000"),
    ("task.items.test=1e10", "less than or equal to 1000000"),
    ("weak.width=1e9", "less than or equal to 65536"),
    ("weak.layers=1e6", "less than or equal to 200"),
    ("weak.pretrain.steps=1e15", "less than or equal to 10000000"),
    ("weak.pretrain.seed=1e30", "weak.pretrain.seed"),
    ("paradigm.supervisors=1e6", "less than or equal to 200"),
    ("paradigm=self_improvement paradigm.rounds=1e6", "less than or equal to 200"),
    ("task=arithmetic task.world.bounds=[1e9]", "less than or equal to 10000"),
    ("trainer.devices=0", ["trainer.devices=0", DEVICES]),
    ("trainer.devices=''", DEVICES),
    ("trainer.devices='a,b'", DEVICES),
    (["trainer.devices='²'"], DEVICES),
    ("trainer.devices=1e9", DEVICES),
    ("trainer.devices='0,0'", DEVICES),
    ("trainer.devices=7", "trainer.devices=4"),
    ("trainer.strategy=banana", "expected auto or ddp"),
    ("trainer.num_nodes=3", "trainer.num_nodes=1"),
]
PLACES: list[Row] = [
    ("paths.store=", ["paths.store=''", "expected the path of a folder"]),
    (["paths.outputs=' '"], "expected the path of a folder"),
    ("paths.store=/etc/passwd", "the store must be a folder"),
    ("paths.store=/etc", "/etc is not a store"),
]
CODE: list[Row] = [
    ("paradigm.module._target_=os.system", ["lies in the package 'os'", "plugins=[os]"]),
    ("paradigm.recipe._target_=os.system", "plugins=[os]"),
    ("task._target_=subprocess.Popen", "plugins=[subprocess]"),
    ("weak._target_=builtins.eval", "plugins=[builtins]"),
    ("objective=xent objective._target_=nowhere.loss", "plugins=[nowhere]"),
    ("weak._target_=w2s_lightning.config.bind.reduce", "_target_"),
    ("weak._target_=w2s_lightning.job.importlib", "_target_"),
    ("weak._target_=w2s_lightning.job.importlib.import_module", "_target_"),
    ("paradigm.recipe._target_=w2s_lightning.errors.UserError", "paradigm.recipe"),
    ("paradigm.recipe._target_=w2s_lightning.job.run", "paradigm.recipe"),
    ("paradigm.module._target_=w2s_lightning.nowhere.Module", "cannot import 'w2s_lightning.nowhere'"),
    ("paradigm.module._target_=w2s_lightning.fit.paradigms.Nothing", "there is no such class"),
    ("weak._target_=w2s_lightning..x", "_target_"),
    ("weak._target_=.x", "_target_"),
    ("weak._target_=3", "_target_"),
    ("weak._target_=w2s_lightning.store.disk.establish", "is no record"),
    ("weak._target_=w2s_lightning.config.schema.Judge", "weak"),
    ("task._target_=w2s_lightning.config.schema.Judge", "task"),
    ("weak=3", "weak"),
    ("task=local_choice task.reader._target_=os.system", "plugins=[os]"),
    ("plugins=[os] weak._target_=os.nothing", "os has no class or function nothing"),
    ("plugins=[nowhere] weak._target_=nowhere.x", "cannot import 'nowhere'"),
    ("plugins=3", "plugins"),
    ("plugins={a:1}", "plugins"),
]
TABLES = {"names": NAMES, "places": PLACES, "numbers": NUMBERS, "code": CODE}
ROWS = [row for rows in TABLES.values() for row in rows]


@pytest.mark.parametrize("row", ROWS, ids=map(named, ROWS))
def test_it_is_refused_where_it_is_bound(ask: Ask, row: Row) -> None:
    ask(*row)
    assert not list(ask.place.iterdir())


GRIDS: list[Row] = [
    ("-m seed=range(1000000)", "asks for 1,000,000 jobs, and a sweep plans up to 100,000"),
    ("-m seed=range(1,1e12)", "asks for 999,999,999,999 jobs"),
    ("-m seed=range(1000) fit.lr_scale=range(1000)", "the grid asks for 1,000,000 jobs"),
    ("-m seed=range(0,5,0)", "seed has an empty axis"),
    ("-m seed=range(5,0)", "seed has an empty axis"),
    ("-m seed=range(3),7", "an axis is one list or one range"),
    ("-m trainer.devices=0,2", "expected how many"),
    ("-m trainer.strategy=banana seed=0,1", "expected auto or ddp"),
    ("-m weak.name=../a,b", LETTERS),
]


@pytest.mark.parametrize("row", GRIDS, ids=map(named, GRIDS))
def test_a_grid_that_cannot_be_planned_is_refused(ask: Ask, row: Row) -> None:
    ask(*row)
    assert not list(ask.place.iterdir())


def test_a_job_whose_names_are_as_long_as_they_may_be_ends_and_is_found_again(ask: Ask) -> None:
    words = ["task.name=allenai/sciq", "strong.name=Qwen/Qwen2.5-7B", f"weak.name={'n' * 80}"]
    first, again = ask(words, "result: outputs/allenai--sciq-", 0, job=True), ask(words, "result: ", 0, job=True)
    assert "from the store" not in first.text
    assert " fit " not in again.text, "nothing is fitted twice"
    (folder,) = (ask.place / "outputs").glob("*/result.json")
    assert folder.parent.name.startswith("allenai--sciq-weak_to_strong-nnn")


def test_a_folder_that_leads_elsewhere_is_refused_at_the_door(tmp_path: Path) -> None:
    assert below(tmp_path, "fit", "x") == tmp_path / "fit" / "x"
    for parts in (("..", "x"), ("fit", "../../x"), ("/etc",), ("",), (".",)):
        with pytest.raises(UserError, match="would lie outside of"):
            below(tmp_path, *parts)


def test_models_are_called_after_their_folders_and_two_of_one_name_are_told_apart(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a/llama", "b/llama", "c/Own Model é", "models--org--x-1b/snapshots/0f3")]
    for folder in folders:
        folder.mkdir(parents=True)
    a, b, odd, cached = map(str, folders)
    seen: dict[str, list[str]] = {}

    def names(*pair: str, called: dict[str, list[str]] | None = None) -> tuple[str, str]:
        sides = [f"model@{side}=local" for side in ("weak", "strong")]
        paths = [f"{side}.path='{path}'" for side, path in zip(("weak", "strong"), pair, strict=True)]
        made, _ = build(*composed("task=sciq", *sides, *paths), called=called)
        return made.weak.name, made.strong.name

    assert names(a, b) == ("llama", "llama-2")
    assert names(b, b) == ("llama", "llama")
    assert names(odd, cached) == ("Own-Model", "x-1b")
    pairs = [names(*pair, called=seen) for pair in ((a, b), (b, b), (b, a), (a, odd))]
    assert pairs == [("llama", "llama-2"), ("llama-2", "llama-2"), ("llama-2", "llama"), ("llama", "Own-Model")]
    assert job("task=sciq", "model@weak=gpt2", "weak.path=org/gpt3", "model@strong=gpt2")[0].weak.name == "gpt3"
    assert job("task=sciq", "model@weak=gpt2", "weak.name=mine", "model@strong=gpt2")[0].weak.name == "mine"


def test_outputs_that_cannot_be_written_are_refused_before_anything_is_computed(ask: Ask) -> None:
    (ask.place / "file").write_text("")
    ask("paths.outputs=file/x", "cannot write to file/x", job=True)
    assert not (ask.place / "store" / "pretrain").exists()


def test_a_store_that_cannot_be_made_is_refused_before_the_data_is_read(ask: Ask) -> None:
    (ask.place / "file").write_text("")
    said = ask("paths.store=file/x", "cannot write to the store", job=True)
    assert "· begins" not in said.out
    assert not (ask.place / "outputs").exists()


def test_a_damaged_memory_of_revisions_is_named_and_stops_only_who_needs_it(tmp_path: Path) -> None:
    for content in ("{", "[]", '{"model/a/b@main": "x"}', "\0"):
        (tmp_path / "refs.json").write_text(content)
        assert Refs(tmp_path, planning=True).commit("model", "a/b", "0" * 40) == "0" * 40
        with pytest.raises(UserError, match=r"refs.json is damaged .*: remove it"):
            Refs(tmp_path, planning=False).commit("model", "a/b", "main")


def test_single_jobs_on_two_folders_of_one_name_are_told_apart_on_the_page() -> None:
    def record(weak: str, strong: str) -> JobRecord:
        row = {"weak": "model", "strong": "model"}
        return JobRecord(row, None, None, {"weak.path": weak, "strong.path": strong}, None)

    told = _told_apart([record("b/model", "a/model"), record("a/model", "a/model")])
    assert [(job.row["weak"], job.row["strong"]) for job in told] == [("model-2", "model"), ("model", "model")]


def test_a_log_is_told_when_a_stage_begins() -> None:
    stages, log = plan().stages[:2], io.StringIO()
    lines = StageProgress(Console(file=log, width=200), stages)
    for stage in stages:
        lines.start(stage)
    assert [line.split()[0] for line in log.getvalue().splitlines()] == ["[1/2]", "[2/2]"]
    assert log.getvalue().count("· begins") == 2

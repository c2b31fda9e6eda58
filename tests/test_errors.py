"""What every command and every rewritten file have in common: mistakes are short, files are whole or not there."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.composing import ROOT
from w2s_lightning.__main__ import main as package
from w2s_lightning.atomic import replacing, write_whole
from w2s_lightning.config.mistakes import refuse_words
from w2s_lightning.errors import UserError, run_command
from w2s_lightning.report.__main__ import main as report
from w2s_lightning.results.claims import main as claims
from w2s_lightning.rewardbench.__main__ import main as rewardbench
from w2s_lightning.store.__main__ import main as store
from w2s_lightning.tasks.export import main as export


def raising(error: BaseException) -> Callable[[], int]:
    def work() -> int:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "said", "code"),
    [
        (UserError("no such task: take facts"), "error: no such task: take facts", 1),
        (FileNotFoundError(2, "No such file", "x.csv"), "error: [Errno 2] No such file: 'x.csv'", 1),
        (KeyboardInterrupt(), "error: stopped; nothing was written", 130),
    ],
)
def test_a_mistake_of_the_user_or_the_disk_or_ctrl_c_is_one_line(
    error: BaseException, said: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(raising(error), "nothing was written") == code
    assert capsys.readouterr().err.splitlines() == [said]


def test_our_own_mistakes_keep_their_stack_trace() -> None:
    with pytest.raises(AssertionError):
        run_command(raising(AssertionError("a stage without parents")))


@pytest.mark.parametrize(
    ("main", "arguments"),
    [
        (report, ["--sweep", "nowhere"]),
        (claims, ["--claims", "nowhere.yaml"]),
        (rewardbench, ["nowhere/at/all", "--data", "x.jsonl"]),
        (store, ["ls", "--store", "nowhere"]),
        (export, ["nowhere.yaml", "--split", "test", "--seed", "0", "--out", "x.csv"]),
    ],
)
def test_every_command_shows_them_alike(
    main: Callable[[list[str]], int],
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("error: ")
    assert len(said) <= 2
    assert "nowhere" in said[0]


def test_no_word_at_all_is_a_command() -> None:
    refuse_words([], ROOT / "conf")


def test_the_package_lists_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert package([]) == 0
    listed = capsys.readouterr().out
    own = [path for path in (ROOT / "w2s_lightning").rglob("*.py") if '__name__ == "__main__"' in path.read_text()]
    for path in own:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
        assert f"python -m {name} " in listed or name == "w2s_lightning"
    assert package(["stor"]) == 1
    assert "did you mean `store`?" in capsys.readouterr().err


def test_a_file_is_replaced_whole_or_stays_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    write_whole(file, "old\n")
    with pytest.raises(FileNotFoundError), replacing(file) as scratch:
        scratch.write_text(f"half{(tmp_path / 'nothing').read_text()}")
    assert file.read_text() == "old\n"
    write_whole(file, b"new\n")
    assert file.read_text() == "new\n"
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]

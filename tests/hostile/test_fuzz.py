"""Inputs that nobody wrote down: made by kind from a fixed seed, each answered like everything else.

What they are depends on kind and number alone, so that a failing one can be typed again: the test's name says it.
"""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.composing import composed
from tests.hostile.asking import Ask

CONTROL = ("\x1b[31mred", "\x1b]0;title\x07", "a\nb", "tab\there", "\u202egnp", "\udcff", "\x7f", "\u2028")
VALUES = (
    *("", "''", "null", "-1", "0", "-0", "1e308", "-1e308", "1e20", "nan", "inf", "-inf", "1_000", "0x10", "9" * 50),
    *("9" * 6000, "true", "[]", "{}", "[1,2]", "{a:1}", "[[[[1]]]]", "[{a:[{}]}]", "[" * 80, "{" * 80, "'", '"', "\\"),
    *("a b", "a=b", "a:b", "@", "~", "+", "%s", "%(x)s", "{0}", "$(id)", "`id`", "../../x", "/etc/passwd", "~nobody/x"),
    *("${seed}", "${nowhere}", "${oc.env:HOME}", "${oc.env:NO_SUCH}", "${", "???", "1,2", "range(3)", "glob(*)"),
    *("choice(1,2)", "interval(0,1)", "int(3.5)", "str([1])", "sort(1)", "a" * 300, "é", "١٢", "–1", "１", *CONTROL),
)
GROUPS = ("task", "model@weak", "model@strong", "model@middle.m1", "fit", "objective", "paradigm", "trainer", "run")
PATHS = ("paths.store", "paths.outputs", "weak.path", "supervisor.file", "task.train_file", "task.benchmark")


def leaves(block: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    if isinstance(block, dict) and block:
        for key, value in block.items():
            yield from leaves(value, (*path, str(key)))
    else:
        yield ".".join(path)


def keys() -> list[str]:
    from omegaconf import OmegaConf

    return list(leaves(OmegaConf.to_container(composed()[0], resolve=False)))


# ---------------------------------------------------------------- one kind of input each: the words to type


def value(draw: random.Random, place: Path) -> list[str]:
    prefix = draw.choice(("", "", "", "+", "++", "~"))
    return [f"{prefix}{draw.choice(keys())}={draw.choice(VALUES)}"]


def key(draw: random.Random, place: Path) -> list[str]:
    known = draw.choice(keys())
    at = draw.randrange(len(known))
    changed = (
        known[:at] + known[at + 1 :],
        known[:at] + known[at] + known[at:],
        known + "." + draw.choice(VALUES),
        known.upper(),
        known.replace("_", "-"),
        known.rpartition(".")[0],
        known.rpartition(".")[2],
        draw.choice(CONTROL) + known,
        known + draw.choice(("@x", "/x", "[0]", "..", ":", "=")),
        draw.choice(VALUES),
    )
    text = draw.choice(("", "+", "++", "~", "--", "-")) + draw.choice(changed)
    return [text if draw.random() < 0.2 else f"{text}={draw.choice(('1', '[1]', '{a:1}', 'nano'))}"]


def name(draw: random.Random, place: Path) -> list[str]:
    if draw.random() < 0.5:
        return [f"{draw.choice(('weak', 'strong', 'task', 'task.world'))}.name={draw.choice(VALUES)}"]
    return [f"{draw.choice(('', '+', '~'))}{draw.choice(GROUPS)}={draw.choice(VALUES)}"]


def path(draw: random.Random, place: Path) -> list[str]:
    (place / "file").write_bytes(bytes(draw.randrange(256) for _ in range(draw.choice((0, 3, 300)))))
    (place / "loop").symlink_to("loop")
    (place / "full").mkdir()
    (place / "full" / draw.choice(("config.json", "w2s_store.json", "x"))).write_text(draw.choice(("", "{}", "[", "3")))
    there = draw.choice(
        ("file", "loop", "full", "file/below", "loop/below", "full/", ".", "nothing", "n" * 300, "~x/y")
    )
    chosen = draw.choice(PATHS)
    more = {"weak.path": ["model@weak=local"], "task.train_file": ["task=local_choice", f"task.test_file={there}"]}
    more["task.benchmark"] = ["task=arithmetic_pairs"]
    return [*more.get(chosen, []), f"{chosen}={there}"]


def several(draw: random.Random, place: Path) -> list[str]:
    """A grid: axes of values and names."""
    axes = [f"{draw.choice(keys())}={draw.choice(VALUES)},{draw.choice(VALUES)}" for _ in range(draw.choice((1, 2)))]
    return ["-m", *axes, draw.choice(("seed=range(2)", "model@weak=nano,micro", "sweeps=smoke", "seed=0"))]


def content(draw: random.Random, place: Path) -> list[str]:
    """A data file of rows, most of which are damaged in one way or another."""
    cells = [*VALUES, "text", "label", "no", "yes"]
    ending = draw.choice(("csv", "jsonl", "parquet", "json", ""))
    rows = []
    for row in range(draw.choice((0, 1, 5, 40))):
        label = draw.choice((draw.choice(cells).replace("\udcff", "?"), "yes", "no"))
        jsonl = f'{{"text": "text {row}", "label": {draw.choice((label, chr(34) + label + chr(34)))}}}'
        rows.append(jsonl if ending == "jsonl" else f"text {row},{label}")
    head = [] if ending == "jsonl" else [draw.choice(("text,label", "text,label", "a,b", "text,text", ""))]
    written = "\n".join([*head, *rows]).encode()
    spoilt = bytearray(written)
    for _ in range(draw.choice((0, 0, 1, 3)) if spoilt else 0):
        spoilt[draw.randrange(len(spoilt))] = draw.randrange(256)
    (place / f"data.{ending}").write_bytes(bytes(spoilt))
    file = f"data.{ending}"
    if draw.random() < 0.3:
        return [f"supervisor.file={file}"]
    return ["task=local_choice", f"task.train_file={file}", f"task.test_file={file}"]


KINDS: dict[Callable[[random.Random, Path], list[str]], int] = {
    value: 55,
    key: 40,
    name: 25,
    path: 25,
    several: 15,
    content: 25,
}
ALWAYS = 6  # every sixth input is in the normal suite
CASES = [
    pytest.param(kind, number, id=f"{kind.__name__}-{number}", marks=() if number % ALWAYS == 0 else pytest.mark.slow)
    for kind, count in KINDS.items()
    for number in range(count)
]


@pytest.mark.parametrize(("kind", "number"), CASES)
def test_whatever_is_typed_is_answered(ask: Ask, kind: Callable[..., list[str]], number: int) -> None:
    words = kind(random.Random(f"{kind.__name__}-{number}"), ask.place)
    print(words)  # shown with a failure
    ask(words, code=None)

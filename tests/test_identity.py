import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from w2s_lightning.config.schema import Objective
from w2s_lightning.content import DataFile, Folder
from w2s_lightning.identity import Stage, canonical_json, digest


@dataclass(frozen=True)
class Point:
    x: float
    y: float


@dataclass(frozen=True)
class Vector:
    x: float
    y: float


def test_equal_values_of_two_types_are_two_identities() -> None:
    assert digest(Point(1.0, 2.0)) != digest(Vector(1.0, 2.0))


def test_classes_of_one_name_from_elsewhere_are_two_identities() -> None:
    body = {"__annotations__": {"x": float, "y": float}, "__module__": "my_tasks"}
    theirs = dataclass(frozen=True)(type("Point", (), body))
    assert digest(Point(1.0, 2.0)) != digest(theirs(1.0, 2.0))


def test_key_order_does_not_count() -> None:
    assert canonical_json({"b": 1, "a": [1, 2]}) == canonical_json({"a": (1, 2), "b": 1}) == '{"a":[1,2],"b":1}'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Path("x"), print, object(), {1: 2}, {"s"}, b"x"])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        digest({"field": value})


def test_a_data_file_is_its_content_not_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\nx,1\n")
    (tmp_path / "b.csv").write_text("text,label\nx,1\n")
    assert digest(DataFile.at(tmp_path / "a.csv")) == digest(DataFile.at(tmp_path / "b.csv"))
    (tmp_path / "b.csv").write_text("text,label\nx,0\n")
    assert digest(DataFile.at(tmp_path / "a.csv")) != digest(DataFile.at(tmp_path / "b.csv"))


def test_a_model_folder_is_its_weights_and_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    before = digest(Folder.of_model(tmp_path))
    (tmp_path / "training.log").write_text("x")
    assert digest(Folder.of_model(tmp_path)) == before
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert digest(Folder.of_model(tmp_path)) != before


# ---------------------------------------------------------------- what a release may add, rename and move


@dataclass(frozen=True)
class FirstRelease(Stage):
    kind = "made"
    version = 1
    steps: int


@dataclass(frozen=True)
class LaterRelease(Stage):
    """The same kind of stage with an option more, whose default is what the first release did."""

    kind = "made"
    version = 1
    steps: int
    title: str = field(default="", compare=False)
    momentum: float = 0.0


OLD_GOLDEN = {
    "steps=3": "99c9078b3846c8be904d47b3a6df44d988edc2f74e265752388422f4ecf90f6c",
    "steps=4": "f856a66e09afb5f5ef675f4eaef6b53a84a85869107e9d74e2b48c03063b1535",
}


def test_an_option_added_later_moves_no_digest_while_it_has_the_old_behaviours_value() -> None:
    """`OLD_GOLDEN` is the golden file of the first release: never renew it."""
    for made in (FirstRelease, LaterRelease):
        assert {f"steps={steps}": made(steps).digest for steps in (3, 4)} == OLD_GOLDEN
    assert LaterRelease(3, momentum=0.9).digest not in OLD_GOLDEN.values()
    assert LaterRelease(3).record() == {"kind": "made", "version": 1, "steps": 3}


def test_a_display_name_is_no_part_of_an_identity() -> None:
    named = LaterRelease(3, title="my run")
    assert named == LaterRelease(3)
    assert named.digest == LaterRelease(3).digest
    assert "my run" not in json.dumps(named.record())


def test_our_code_counts_by_its_name_and_other_peoples_by_its_whole_path() -> None:
    def of(target: str) -> str:
        return digest(Objective(target=target, options={}))

    assert of("w2s_lightning.objectives.xent") == of("w2s_lightning.losses.of_choices.xent")
    assert of("mine.xent") != of("w2s_lightning.objectives.xent")
    assert of("mine.xent") != of("mine.moved.xent")

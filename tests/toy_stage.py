"""A stage that costs nothing to compute, for tests of the store."""

from dataclasses import dataclass
from pathlib import Path

from w2s_lightning.identity import Stage


@dataclass(frozen=True)
class Toy(Stage):
    kind = "toy"
    version = 1

    value: int = 1
    scale: float = 0.1

    @property
    def label(self) -> str:
        return f"toy{self.value}"


def write_output(folder: Path) -> None:
    (folder / "out.bin").write_bytes(b"x" * 5000)

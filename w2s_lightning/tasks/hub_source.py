"""Where a hub data set comes from: a repository at a commit, or a local folder in a repository's layout.

YAML says a revision such as `main`; the plan looks its commit up and puts it in (`HubSource.resolved`). A folder enters
identity by the content of its files. Repositories with loading scripts no longer load (datasets >= 4).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from w2s_lightning.content import Folder
from w2s_lightning.errors import UserError
from w2s_lightning.schema import Count, record
from w2s_lightning.tasks.files import Row
from w2s_lightning.tasks.suggest import did_you_mean

_ENDINGS = (".parquet", ".csv", ".json", ".jsonl", ".arrow", ".txt", ".md", ".yaml", ".gz", ".zst")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ADVICE = "Without a network, give a folder in the hub's layout: task.source.path=/path/to/folder"


def _folder_or_id(value: Any) -> Any:
    if isinstance(value, str) and Path(value).expanduser().is_dir():
        return Folder.at(value, _ENDINGS)
    if isinstance(value, str) and (value.startswith(("/", "~", ".")) or value.count("/") > 1):
        raise UserError(f"data folder not found: {value} (task.source.path: a folder, or a hub id like allenai/sciq)")
    return value


@record
class HubSource:
    """A data set repository (`path`, `config`) at a commit, or a local folder; `commit` is null until looked up."""

    path: Annotated[str | Folder, BeforeValidator(_folder_or_id)]
    config: str | None
    revision: str
    commit: str | None

    def identity(self) -> Mapping[str, Any]:
        """Content for a folder; for the hub the commit, and the revision's name only while that is unknown."""
        if isinstance(self.path, Folder):
            return {"source": self.path.identity(), "config": self.config}
        at = {"revision": self.revision} if self.commit is None else {"commit": self.commit}
        return {"source": self.path, "config": self.config, **at}

    def resolved(self, find: Callable[[str, str], str]) -> "HubSource":
        """The same source with the commit that `find(repository, revision)` tells; a folder stays as it is."""
        if isinstance(self.path, Folder):
            return self
        return replace(self, commit=find(self.path, self.revision))

    @property
    def label(self) -> str:
        """The source's name in messages."""
        return str(self.path.path) if isinstance(self.path, Folder) else self.path

    def rows(self, split: str, columns: Sequence[str], max_rows: int | None) -> list[Row]:
        """At most `max_rows` rows of a split, evenly spaced, with these columns.

        Raises:
            UserError: for a folder that changed, a commit that is not known, a config, split or column that is not
                there, a layout that cannot be loaded, and a hub that does not answer.
        """
        table = self._load(split)
        for column in columns:
            if column not in table.column_names:
                known = did_you_mean(column, table.column_names)
                raise UserError(f"{self.label} ({split}) has no column {column!r}: {known}")
        total = len(table)
        taken = total if max_rows is None else min(max_rows, total)
        places = [index * total // taken for index in range(taken)]
        rows = table.select_columns(list(columns)).select(places).to_list()
        return [Row(f"{self.label} ({split}):{n + 1}", row) for n, row in zip(places, rows, strict=True)]

    def _load(self, split: str) -> Any:
        where, commit = self._where()
        import datasets

        datasets.disable_progress_bars()
        try:
            return datasets.load_dataset(
                where, self.config, split=split, revision=commit, verification_mode="no_checks"
            )
        except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            advice = "" if isinstance(self.path, Folder) else f"\n{_ADVICE}"
            raise UserError(
                f"cannot load {self.label} (config {self.config}, split {split}): {first}{advice}"
            ) from None

    def _where(self) -> tuple[str, str | None]:
        if isinstance(self.path, Folder):
            if Folder.at(self.path.path, _ENDINGS).sha256 != self.path.sha256:
                raise UserError(f"{self.label} changed after the plan was made: run the same command again")
            return str(self.path.path), None
        if self.commit is None or not _COMMIT.fullmatch(self.commit):
            raise UserError(
                f"the commit of data set {self.path} at {self.revision!r} is not known "
                f"(no network, and not in the local cache).\n{_ADVICE}"
            )
        return self.path, self.commit


@record
class Reading:
    """Which of a repository's splits are used, and how many rows are read at most (null: all), evenly spaced."""

    train: str
    test: str
    max_train_rows: Count | None
    max_test_rows: Count | None

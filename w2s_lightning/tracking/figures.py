"""The report's figures and tables on a wandb run: the same drawings as media, and their data."""

import json
import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any


def log_report(
    wandb: ModuleType, run: Any, figures: Mapping[str, Mapping[str, Any]], tables: Mapping[str, Any]
) -> None:
    """Log figures (Plotly JSON by name) under `figures/...`, tables (with columns and rows) under `tables/...`."""
    import plotly.io

    drawn = {media_key(name): plotly.io.from_json(json.dumps(figure)) for name, figure in figures.items()}
    logged = {key: wandb.Plotly(figure) for key, figure in drawn.items()}
    for name, table in tables.items():
        rows = [list(row) for row in table.rows]
        logged[media_key(name, "tables")] = wandb.Table(columns=list(table.columns), data=rows)
    if logged:
        run.log(logged)


def media_key(name: str, kind: str = "figures") -> str:
    """A figure's or table's name as wandb allows it in keys and file names."""
    return f"{kind}/{re.sub(r'[^A-Za-z0-9/_-]+', '_', name).strip('_')}"

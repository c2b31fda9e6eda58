"""Plotly figures of the report on a wandb run: the same drawings, as media that its pages show."""

import json
import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any

PREFIX = "figures"


def log_figures(wandb: ModuleType, run: Any, figures: Mapping[str, Mapping[str, Any]]) -> None:
    """Log figures (Plotly JSON by name, see `report.writing.plotly_figures`) under `figures/...`."""
    import plotly.io

    drawn = {media_key(name): plotly.io.from_json(json.dumps(figure)) for name, figure in figures.items()}
    if drawn:
        run.log({key: wandb.Plotly(figure) for key, figure in drawn.items()})


def media_key(name: str) -> str:
    """A figure's name as wandb allows it in keys and file names."""
    return f"{PREFIX}/{re.sub(r'[^A-Za-z0-9/_-]+', '_', name).strip('_')}"

"""Imported by the pool's fork server alone: loads what every job would load, and fills caches that are slow to fill.

Nothing here may start a thread or touch a GPU, since what is forked afterwards would inherit it broken.
"""

import gc
import importlib
import logging
from contextlib import suppress

LOADED = (
    "torch",
    "transformers",
    "pytorch_lightning",
    "w2s_lightning.execute",
    "w2s_lightning.sweep.process",
    "hydra",  # by train.py, which every process of the pool runs again as its main module
    "pandas",  # by pyarrow, in the middle of a job
    "pyarrow.acero",
    "pyarrow.dataset",
    "rich.status",
)

for _name in LOADED:
    try:
        importlib.import_module(_name)
    except Exception as error:
        logging.getLogger(__name__).warning("the pool starts without %s: %s", _name, error)

with suppress(Exception):  # 900 regular expressions of transformers, which every model that is loaded would compile
    importlib.import_module("transformers.conversion_mapping").get_checkpoint_conversion_mapping("llama")

gc.collect()
gc.freeze()  # else every job's garbage collector walks, and so copies, the million objects that are loaded here

"""Hydra-configured sweeps on PyTorch Lightning for weak-to-strong generalization."""

import signal
import sys

if sys.argv[0] == "-m" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # `python -m w2s_lightning.X` looks for X: Ctrl-C during its imports ends it at once; `run_command` takes it back.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

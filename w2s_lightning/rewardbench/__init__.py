"""RewardBench for any reward model: `python -m w2s_lightning.rewardbench MODEL --data FILE_OR_HUB`.

The command line and what it prints and writes; the arithmetic is `metrics.sections`, which loads no torch.
"""

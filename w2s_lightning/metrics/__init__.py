"""What a run is judged by: PGR and its intervals, choice metrics, sections of RewardBench, tests of difference.

Numpy and scipy only: no torch, no files, no configuration. Every function takes arrays of per-example scores that the
caller has already aligned by example id, and gives back numbers or frozen dataclasses.

| module | question it answers |
|---|---|
| intervals | how an `Interval` is read off resampled groups of test examples, or a t distribution |
| rates | the interval engine: a job's rows on the test set and its parts; is one better than another |
| seeds | the rows of several seeds on one test set, with intervals for seeds and examples not yet seen |
| pgr | performance gap recovered, of one job and over seeds; how wide its interval will be |
| sections | RewardBench's subsets, sections and overall score, with the published weights, and with intervals |
| choice | AUROC, log loss, Brier score, calibration, accuracy by difficulty |
"""

"""What a run is judged by: PGR and its intervals, choice metrics, agreement with the supervisor, tests of difference.

Numpy and scipy only: no torch, no files, no configuration. Every function takes arrays of per-example scores that the
caller has already aligned by example id, and gives back numbers or frozen dataclasses.

| module | question it answers |
|---|---|
| intervals | how an `Interval` is read off resampled values or a t distribution |
| resampling | which test examples belong together, and how groups are drawn |
| scores | a metric as a function of group weights (mean score, AUROC) |
| bootstrap | the arms of one job, with intervals for these trained models |
| subsets | rates on parts of the test set, with the same intervals |
| rewardbench, reward_intervals | subsets, sections and overall with the published weights, and with intervals |
| seeds | the arms of several seeds on one test set, with intervals for seeds and examples not yet seen |
| pgr | performance gap recovered, of one job and over seeds |
| half_width | how wide PGR's interval will be, before training |
| choice | accuracy, AUROC, log loss, Brier score, calibration, accuracy by difficulty |
| agreement | how often the student follows its supervisor, right or wrong |
| differences | is one arm better than another, and Holm's correction |
"""

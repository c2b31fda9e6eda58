"""Sweeps: plan the whole grid, compute every shared stage once, survive anything.

    axes          a sweep file's axes and the command line -> the overrides of each job
    composition   overrides -> configuration, one Hydra composition per distinct choice of groups
    grid          configurations -> planned jobs, before anything runs
    units         planned jobs -> what is launched: missing stages, then the jobs' scoring
    board         who is waiting, running, done, failed, and why
    pool, waves   two ways to launch: our own processes without barriers, or any Hydra launcher in waves
    slurm, ray_cluster  clusters, in waves; `errands`: what is sent there, `remote`: what runs there
    ledger        sweep.json and sweep.parquet, rewritten after each job
    sweeper       all of it in order; what Hydra calls

The store is the truth: launchers may lie, die or be killed, and the same command goes on from what is there.
"""

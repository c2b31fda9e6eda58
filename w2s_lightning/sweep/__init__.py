"""Sweeps: plan the whole grid, compute every shared stage once, survive anything.

    axes        a sweep file's axes and the command line -> the overrides of each job
    grid        overrides -> configurations -> planned jobs, before anything runs
    units       planned jobs -> what is launched: missing stages, then scorings; who waits, runs, is done, failed
    sweep_file  sweep.json and sweep.parquet, rewritten as that changes
    pool        units as processes of this machine, without barriers
    cluster     units in waves through Slurm, Ray or any of Hydra's launchers
    process     what runs inside a process that the pool or a cluster has started; `warm`: what it finds loaded
    run         all of it in order; what Hydra calls

The store is the truth: launchers may lie, die or be killed, and the same command goes on from what is there.
"""

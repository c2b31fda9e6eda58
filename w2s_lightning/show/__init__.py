"""What people see outside the page: names and numbers, tables in the terminal, the mirror on wandb.

It shows what results hold and computes none of it. wandb is imported only where a run is mirrored.
"""

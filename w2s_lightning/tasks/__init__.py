"""Tasks: examples, their splits, and where they come from (embedded worlds, local files, the hub).

A task is a frozen record; all its fields are identity of the data. How an answer is judged is not here
(`schema.Judge`). Nothing here loads torch; `datasets` and `pyarrow` are imported only where a file is read.
"""

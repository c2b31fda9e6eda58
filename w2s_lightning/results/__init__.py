"""What stored answers come to: a job's result, groups of seeds, claims. Reads the store; loads no model and no torch.

| module | what it holds |
|---|---|
| stored | the one reader of stored answers: by stage for jobs, by digest for those who show results |
| texts | the texts of a job's examples, beside its result |
| scored | answers become figures: differences, p-values and PGR, whose reasons stand here |
| job_result | the content of `result.json`: every row on the same test examples with the same resamples |
| read_back | `result.json` and `sweep.json` as they are read again: whole, or what is wrong with them |
| benchmark_result, sampled | what else a result holds: a benchmark by section; votes and selections of samples |
| information | what a row's model saw: labels and tokens, counted from its stages |
| groups, readouts, pooled | jobs that differ in their seed alone, and what is shown of them |
| claim_file, claims | hypotheses as they are written down; their verdicts |
"""

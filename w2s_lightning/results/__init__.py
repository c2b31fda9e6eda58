"""What stored answers come to: a job's result, groups of seeds, claims. Reads the store; loads no model and no torch.

| module | what it holds |
|---|---|
| stored | the one reader of stored answers: by stage for jobs, by digest for those who show results |
| job_result | the content of `result.json`: every row on the same test examples with the same resamples |
| information | what a row's model saw: labels and tokens, counted from its stages |
| groups | jobs that differ in their seed alone, and differences between rows over seeds |
| claims | hypotheses with their decision rule, and their verdicts |
"""

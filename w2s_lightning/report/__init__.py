"""The dashboard: sweeps and a store on disk -> one self-contained HTML file, and the same in a terminal.

    writing             what the command line and a sweep call: views -> files
    sources, ledgers    folders -> sections; sweep.json; `loose`: results that belong to no sweep
    reading, artifacts  results and configurations; stored answers and curves: what is damaged is a fault that is shown
    examples            the texts of a job's examples, where the job has written them (`write` does that)
    groups              jobs of several seeds -> rows of sweep.json, and of results that belong to no sweep
    mirrored            the same figures and tables for wandb
    records, questions  what a page is about: sections, groups of seeds, jobs, the question that was asked
    pooled, lineage     rows of a group over its seeds, agreement, calibration, difficulty; the fit behind a row
    pages/              one module a page: records -> figures, tables, sentences; `view` holds them all
    figures, plots      a figure: its drawing, its data, its one-sentence reading; how drawings look
    answers, payload    the inspector's rows in the page, and the Parquet file beside it
    html, text, words   views -> the file, views -> the terminal, numbers as people read them
    theme               colours, checked for colour blindness
    templates/, assets/ Jinja2 templates, one style sheet, small scripts

Everything that a model, a data set or a configuration wrote is text and is escaped where it enters markup. The page
asks the network for nothing. Nothing here imports torch, lightning or wandb, nor plotly or itables themselves: only
their scripts are read.
"""

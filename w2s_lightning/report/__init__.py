"""The dashboard: sweeps and a store on disk -> one self-contained HTML file, and the same in a terminal.

    sources       folders -> sweeps, with the results that belong to no sweep
    records       what a page is about: sections, groups of seeds, jobs
    artifacts     stored answers and curves by digest; a damaged one is a fault that is shown, not an exception
    examples      the texts of a job's examples, where the job has written them
    pooled        rows of a group over its seeds; agreement, calibration, difficulty
    pages/        one module a page: records -> figures, tables, sentences
    figures       a figure: its drawing, its data, its one-sentence reading; plots: how drawings look
    payload       the rows of the example inspector, and the Parquet file beside the page
    html, text    pages -> the file, pages -> the terminal
    theme         colours, checked for colour blindness
    templates/, assets/   Jinja2 templates, one style sheet, small scripts

Everything that a model, a data set or a configuration wrote is text and is escaped where it enters markup. The page
asks the network for nothing. Nothing here imports torch, lightning or wandb, nor plotly or itables themselves: only
their scripts are read.
"""

"""The dashboard: sweeps and a store on disk -> one self-contained HTML file, and the same in a terminal.

    writing             what the command line and a sweep call: pages -> one file; __main__ prints them as text
    sources, records    folders -> sections, groups of seeds, jobs; what is damaged is a fault that is shown
    figures             tidy rows -> Plotly figures, each with one sentence that states its own numbers
    overview, compared, scaling, agreement, training, inspector, runs      one module a page (agreement holds two)
    views               all pages of all sections; figures and tables for wandb
    theme               colours, checked for colour blindness
    templates/, assets/ Jinja2 templates, one style sheet, small scripts

Every number comes from `results` and `metrics`. Everything that a model, a data set or a configuration wrote is text
and is escaped where it enters markup. The page asks the network for nothing. Nothing here imports torch or wandb.
"""

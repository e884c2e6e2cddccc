"""Exchange: sets and results in the forms of other programs, and tasks that Inspect runs."""

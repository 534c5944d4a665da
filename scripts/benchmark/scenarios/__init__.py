"""What is measured, a module each; `run(lab)` of each gives its section of the report."""

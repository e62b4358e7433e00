"""What a run records: its log, warnings, sample grids, plots, evaluations and checkpoints."""

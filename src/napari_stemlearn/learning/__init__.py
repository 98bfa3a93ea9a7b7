"""Training: labelled images made on the fly or read from a folder, losses, validation, checkpoints, model cards."""

"""What stands behind the entry points: launching, run directories, training, evaluation, pipelines."""

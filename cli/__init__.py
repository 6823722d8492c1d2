"""What stands behind the doors: launching, run directories, training, evaluation, pipelines."""

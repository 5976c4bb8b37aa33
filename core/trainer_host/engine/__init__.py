"""What every engine needs: checkpoints, the state of the process, progress, and errors of the system."""

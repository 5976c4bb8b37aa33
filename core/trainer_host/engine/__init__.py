"""The protocol of an engine and the parts that every engine needs: checkpoints, process state, progress, errors."""

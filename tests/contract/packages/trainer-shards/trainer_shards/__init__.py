"""The task `shard-heatmap`: the network of `heatmap`, trained on more images than a machine can hold or list.

The images are in shards: tar files of some hundred megabytes, each read from its beginning to its end, from a disk or
from object storage. ``index.yaml`` names them, with the number of samples of each::

    points: [red, green, blue]
    train: {shards: ["train-{000000..000999}.tar"], samples: 1000}
    val: {shards: [val-000000.tar], samples: [512]}
"""

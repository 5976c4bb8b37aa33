"""Train vision models whose tasks, layers, losses and formats are plugins.

The public face of the host: `run`, `check`, `convert`, `val`, `predict`, `plugins` for people who train, the rest for
authors of plugins. Importing it needs neither torch nor the engine.
"""

# First, and without a future import, which would look for a file too: what is imported below is then Python's own.
import trainer_host._working_folder

# isort: split
import trainer_host._early_signals  # noqa: F401
from trainer_host.api import check, convert, plugins, predict, run, val
from trainer_host.base.annotations import Box, Histogram, Line, Point, Shape
from trainer_host.base.contexts import (
    AutobatchHints,
    DataContext,
    LabelContext,
    LogContext,
    LossContext,
    ModelContext,
    ModelFacts,
    OptimizerContext,
    PlotContext,
    PredictionContext,
    RunContext,
    Sample,
    SampleContext,
    ScheduleContext,
    ValidationContext,
)
from trainer_host.base.errors import (
    EnvironmentProblemError,
    ExitCode,
    LossError,
    MemoryExhaustedError,
    PluginCrashError,
    PluginError,
    Problem,
    SettingsError,
    StoppedError,
    StorageError,
    TrainerError,
    UnsafeError,
)
from trainer_host.base.findings import DatasetError, DatasetKeyError, Finding
from trainer_host.base.layer_spec import Layer
from trainer_host.base.results import (
    ImagePrediction,
    LoadedImage,
    PredictResult,
    RunResult,
    UnreadableImage,
    ValResult,
)
from trainer_host.base.vision import AnnotatedImage, Detections
from trainer_host.plugin.discovery import PluginRecord
from trainer_host.plugin.markers import DONE, hookimpl
from trainer_host.plugin.plugin_spec import ExtensionSpec, TaskSpec
from trainer_host.version import __version__

__all__ = [
    "DONE",
    "AnnotatedImage",
    "AutobatchHints",
    "Box",
    "DataContext",
    "DatasetError",
    "DatasetKeyError",
    "Detections",
    "EnvironmentProblemError",
    "ExitCode",
    "ExtensionSpec",
    "Finding",
    "Histogram",
    "ImagePrediction",
    "LabelContext",
    "Layer",
    "Line",
    "LoadedImage",
    "LogContext",
    "LossContext",
    "LossError",
    "MemoryExhaustedError",
    "ModelContext",
    "ModelFacts",
    "OptimizerContext",
    "PlotContext",
    "PluginCrashError",
    "PluginError",
    "PluginRecord",
    "Point",
    "PredictResult",
    "PredictionContext",
    "Problem",
    "RunContext",
    "RunResult",
    "Sample",
    "SampleContext",
    "ScheduleContext",
    "SettingsError",
    "Shape",
    "StoppedError",
    "StorageError",
    "TaskSpec",
    "TrainerError",
    "UnreadableImage",
    "UnsafeError",
    "ValResult",
    "ValidationContext",
    "__version__",
    "check",
    "convert",
    "hookimpl",
    "plugins",
    "predict",
    "run",
    "val",
]

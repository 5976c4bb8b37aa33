"""Train vision models whose tasks, layers, losses and formats are plugins.

`run`, `resume`, `val`, `predict`, `load`, `check`, `convert`, `plugins` and `doctor` are for programs that train, the
rest is for authors of plugins. `trainer_host.typing`, `trainer_host.data`, `trainer_host.ultralytics` and
`trainer_host.testing` have more. Importing this module needs neither torch nor the engine.
"""

# First, and without a future import, which would look for a file too: what is imported below is then Python's own.
import trainer_host._working_folder

# isort: split
from typing import TYPE_CHECKING

import trainer_host._early_signals  # noqa: F401
from trainer_host.base.lazy_exports import lazy_exports
from trainer_host.version import __version__

if TYPE_CHECKING:
    from trainer_host.api import check, convert, doctor, load, plugins, predict, read_record, resume, run, val
    from trainer_host.base.annotations import Box, Histogram, Line, Point, Shape
    from trainer_host.base.contexts import (
        AutobatchHints,
        DataContext,
        LabelContext,
        LoaderContext,
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
        RankError,
        SettingsError,
        StoppedError,
        StorageError,
        TrainerError,
        UnsafeError,
    )
    from trainer_host.base.findings import DatasetError, DatasetKeyError, Finding, Severity
    from trainer_host.base.layer_spec import Layer
    from trainer_host.base.protocols import LaunchContext
    from trainer_host.base.reporting import EpochReport, NullReporter, Progress, Reporter
    from trainer_host.base.resolved_run import ResolvedRun
    from trainer_host.base.results import (
        Ending,
        ImagePrediction,
        LoadedImage,
        PredictResult,
        RunResult,
        StartingWeights,
        UnreadableImage,
        ValResult,
    )
    from trainer_host.base.vision import AnnotatedImage, Detections
    from trainer_host.data.yolo_writer import Written
    from trainer_host.engine.protocol import LiveRun
    from trainer_host.plugin.discovery import PluginRecord
    from trainer_host.plugin.markers import DONE, hookimpl
    from trainer_host.plugin.plugin_spec import ExtensionSpec, TaskSpec
    from trainer_host.plugin.registry import Registry
    from trainer_host.session.dataset_check import CheckResult
    from trainer_host.session.dataset_conversion import ConvertResult
    from trainer_host.session.diagnosis import Diagnosis
    from trainer_host.session.resolution import load_run
    from trainer_host.session.trained_model import Predictions, TrainedModel
else:  # only when they are used: making the classes takes longer than the rest of a short command
    _NAMES = {
        "trainer_host.api": "check convert doctor load plugins predict read_record resume run val",
        "trainer_host.base.annotations": "Box Histogram Line Point Shape",
        "trainer_host.base.contexts": (
            "AutobatchHints DataContext LabelContext LoaderContext LogContext LossContext ModelContext "
            "ModelFacts OptimizerContext PlotContext PredictionContext RunContext Sample SampleContext "
            "ScheduleContext ValidationContext"
        ),
        "trainer_host.base.errors": (
            "EnvironmentProblemError ExitCode LossError MemoryExhaustedError PluginCrashError PluginError "
            "Problem RankError SettingsError StoppedError StorageError TrainerError UnsafeError"
        ),
        "trainer_host.base.findings": "DatasetError DatasetKeyError Finding Severity",
        "trainer_host.base.layer_spec": "Layer",
        "trainer_host.base.protocols": "LaunchContext",
        "trainer_host.base.reporting": "EpochReport NullReporter Progress Reporter",
        "trainer_host.base.resolved_run": "ResolvedRun",
        "trainer_host.base.results": (
            "Ending ImagePrediction LoadedImage PredictResult RunResult StartingWeights UnreadableImage ValResult"
        ),
        "trainer_host.base.vision": "AnnotatedImage Detections",
        "trainer_host.data.yolo_writer": "Written",
        "trainer_host.engine.protocol": "LiveRun",
        "trainer_host.plugin.discovery": "PluginRecord",
        "trainer_host.plugin.markers": "DONE hookimpl",
        "trainer_host.plugin.plugin_spec": "ExtensionSpec TaskSpec",
        "trainer_host.plugin.registry": "Registry",
        "trainer_host.session.dataset_check": "CheckResult",
        "trainer_host.session.dataset_conversion": "ConvertResult",
        "trainer_host.session.diagnosis": "Diagnosis",
        "trainer_host.session.resolution": "load_run",
        "trainer_host.session.trained_model": "Predictions TrainedModel",
    }
    __getattr__ = lazy_exports(__name__, {name: place for place, names in _NAMES.items() for name in names.split()})

__all__ = [
    "DONE",
    "AnnotatedImage",
    "AutobatchHints",
    "Box",
    "CheckResult",
    "ConvertResult",
    "DataContext",
    "DatasetError",
    "DatasetKeyError",
    "Detections",
    "Diagnosis",
    "Ending",
    "EnvironmentProblemError",
    "EpochReport",
    "ExitCode",
    "ExtensionSpec",
    "Finding",
    "Histogram",
    "ImagePrediction",
    "LabelContext",
    "LaunchContext",
    "Layer",
    "Line",
    "LiveRun",
    "LoadedImage",
    "LoaderContext",
    "LogContext",
    "LossContext",
    "LossError",
    "MemoryExhaustedError",
    "ModelContext",
    "ModelFacts",
    "NullReporter",
    "OptimizerContext",
    "PlotContext",
    "PluginCrashError",
    "PluginError",
    "PluginRecord",
    "Point",
    "PredictResult",
    "PredictionContext",
    "Predictions",
    "Problem",
    "Progress",
    "RankError",
    "Registry",
    "Reporter",
    "ResolvedRun",
    "RunContext",
    "RunResult",
    "Sample",
    "SampleContext",
    "ScheduleContext",
    "SettingsError",
    "Severity",
    "Shape",
    "StartingWeights",
    "StoppedError",
    "StorageError",
    "TaskSpec",
    "TrainedModel",
    "TrainerError",
    "UnreadableImage",
    "UnsafeError",
    "ValResult",
    "ValidationContext",
    "Written",
    "__version__",
    "check",
    "convert",
    "doctor",
    "hookimpl",
    "load",
    "load_run",
    "plugins",
    "predict",
    "read_record",
    "resume",
    "run",
    "val",
]

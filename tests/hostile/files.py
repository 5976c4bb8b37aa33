"""The hostile files. Each would leave a mark, open a connection or take all memory where it is loaded in full."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import zipfile
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import torch
from ultralytics.nn.tasks import PoseModel, yaml_model_load

from tests.hostile.pickles import (
    BUILD,
    CALL,
    INST,
    MAKE,
    MAKE_EX,
    OBJ,
    STACK,
    Raw,
    archive,
    call,
    module,
    named,
    pickled,
    tensor,
    value,
)

ADDRESS = "http://127.0.0.1:9/payload.pt"
TASKS = "ultralytics.nn.tasks"


def gadgets(mark: str) -> dict[str, tuple[str, tuple[Any, ...]]]:
    """Return functions and classes with arguments that make them leave a mark, fetch or load something."""
    code = f"open({mark!r}, 'w')"
    shell = f"touch {mark}"
    folder = str(Path(mark).parent)
    student = call("types.SimpleNamespace", state={"yaml": {}})
    return {
        "system": ("posix.system", (shell,)),
        "popen": ("subprocess.Popen", (["touch", mark],)),
        "check-output": ("subprocess.check_output", (["touch", mark],)),
        "exec": ("builtins.exec", (code,)),
        "eval": ("builtins.eval", (code,)),
        "exec-python2": ("__builtin__.eval", (code,)),
        "open": ("builtins.open", (mark, "w")),
        "io-open": ("_io.open", (mark, "w")),
        "import": ("builtins.__import__", ("antigravity",)),
        "import-module": ("importlib.import_module", ("antigravity",)),
        "run-path": ("runpy.run_path", (f"{folder}/payload.py",)),
        "timeit": ("timeit.timeit", (code,)),
        "profile": ("cProfile.run", (code,)),
        "cdll": ("ctypes.CDLL", (f"{folder}/payload.so",)),
        "rmtree": ("shutil.rmtree", (f"{folder}/precious",)),
        "urlopen": ("urllib.request.urlopen", (ADDRESS,)),
        "webbrowser": ("webbrowser.open", (ADDRESS,)),
        "loads": ("pickle.loads", (call("_codecs.encode", f"cposix\nsystem\n(S'{shell}'\ntR.", "latin1"),)),
        "partial": ("functools.partial", (Raw(named("posix.system")), shell)),
        "numpy-load": ("numpy.load", (f"{folder}/payload.npy", None, True)),
        "torch-load": ("torch.load", (f"{folder}/payload.pt",)),
        "torch-save": ("torch.save", ({}, mark)),
        "torch-hub": ("torch.hub.load", (folder, "payload", "local")),
        "torch-jit": ("torch.jit.load", (f"{folder}/payload.pt",)),
        "torch-extension": ("torch.utils.cpp_extension.load", ("payload", [f"{folder}/payload.cpp"])),
        "torch-download": ("torch.hub.download_url_to_file", (ADDRESS, mark)),
        "teacher": ("ultralytics.nn.distill_model.DistillationModel", (f"{folder}/payload.pt", student)),
        "teacher-by-address": ("ultralytics.nn.distill_model.DistillationModel", (ADDRESS, student)),
        "load-checkpoint": (f"{TASKS}.load_checkpoint", (f"{folder}/payload.pt",)),
        "safe-load": (f"{TASKS}.torch_safe_load", (f"{folder}/payload.pt",)),
        "model-of-yaml": (f"{TASKS}.DetectionModel", (f"{folder}/payload.yaml",)),
        "world-model": (f"{TASKS}.WorldModel", (f"{folder}/payload.yaml",)),
        "parse-model": (f"{TASKS}.parse_model", ({"activation": code, "backbone": [], "head": [], "nc": 1}, 3)),
        "yolo": ("ultralytics.models.yolo.model.YOLO", (f"{folder}/payload.pt",)),
        "torchvision": ("ultralytics.nn.modules.block.TorchVision", ("resnet18",)),
        "mobile-clip": ("ultralytics.nn.text_model.MobileCLIPTS", ("cpu", f"{folder}/payload.pt")),
        "download": ("ultralytics.utils.downloads.safe_download", (ADDRESS, mark)),
        "asset": ("ultralytics.utils.downloads.attempt_download_asset", ("yolo11n.pt",)),
        "requirements": ("ultralytics.utils.checks.check_requirements", ("payload",)),
        "check-file": ("ultralytics.utils.checks.check_file", (ADDRESS,)),
        "yaml-save": ("ultralytics.utils.YAML.save", (mark, {})),
        "settings": ("ultralytics.utils.SettingsManager", (mark,)),
        "reduce-lr": ("torch.optim.lr_scheduler.LambdaLR", (None, Raw(named("posix.system")))),
    }


def calls(mark: str) -> dict[str, bytes]:
    """Return files that call each gadget, and some of them in every way that pickles know."""
    found = {}
    for name, (function, arguments) in gadgets(mark).items():
        found[f"reduce-{name}"] = archive(pickled({"model": call(function, *arguments)}))
    forms = {"newobj": MAKE, "newobj-ex": MAKE_EX, "obj": OBJ, "inst": INST, "stack-global": STACK}
    for name in ("system", "popen", "teacher", "model-of-yaml", "torchvision", "yolo"):
        function, arguments = gadgets(mark)[name]
        for form, instruction in forms.items():
            made = call(function, *arguments, form=instruction)
            found[f"{form}-{name}"] = archive(pickled({"model": made}))
    return found


def states(mark: str) -> dict[str, bytes]:
    """Return files that hand a state to a class whose `__setstate__` does something with it, or hide a call deeper."""
    system = call("posix.system", f"touch {mark}")
    distilled = {"student_model": call("builtins.eval", f"open({mark!r}, 'w')"), "feats_idx": [0]}
    state = {"feats_idx": [0], "_modules": distilled, "_parameters": {}, "_buffers": {}}
    return {
        "build-distillation": archive(
            pickled({"model": call("ultralytics.nn.distill_model.DistillationModel", form=BUILD, state=state)})
        ),
        "build-state-tuple": archive(pickled({"model": call(f"{TASKS}.PoseModel", form=MAKE, state=(system, {}))})),
        "build-dict": archive(b"\x80\x02}" + value({"__class__": system}) + b"b."),
        "build-tensor": archive(
            pickled({"model": Raw(tensor().code + value((storage_state(mark),)) + b"b")}), {"data/0": bytes(16)}
        ),
        "in-a-layer": archive(pickled({"model": module(f"{TASKS}.PoseModel", _modules={"model": system})})),
        "in-hooks": archive(pickled({"model": module(f"{TASKS}.PoseModel", _forward_hooks={0: system})})),
        "in-names": archive(pickled({"model": module(f"{TASKS}.PoseModel", names=system)})),
        "in-yaml": archive(pickled({"model": module(f"{TASKS}.PoseModel", yaml=system)})),
        "in-settings": archive(pickled({"model": None, "train_args": system})),
        "in-record": archive(pickled({"model": None, "trainer_host": {"task": system}})),
        "in-optimizer": archive(pickled({"model": None, "optimizer": system})),
        "in-parameter": archive(
            pickled({"model": module("torch.nn.modules.linear.Linear", _parameters={"weight": system})})
        ),
        "in-a-storage": archive(b"\x80\x02" + value((system, "x")) + b"Q."),
        "as-a-key": archive(b"\x80\x02}" + system.code + b"Ns."),
        "as-the-file": archive(b"\x80\x02" + system.code + b"."),
        "after-a-pop": archive(b"\x80\x02" + system.code + b"0}."),
        "getattr": archive(
            pickled({"model": Raw(b"(" + call("builtins.getattr", Raw(named("os.path")), "os").code + b"o")})
        ),
        "result-called": archive(
            pickled({"model": Raw(call("builtins.getattr", Raw(named("posix.system")), "x").code + b")R")})
        ),
        "extension-registry": archive(b"\x80\x02\x82\x01."),
        "text-persistent": archive(b"\x80\x00Pfile\n."),
        "foreign-layer-called": archive(pickled({"model": call("models.common.Conv", 1, 2, form=CALL)})),
    }


def storage_state(mark: str) -> Raw:
    return call("builtins.open", mark, "w")


def containers(mark: str) -> dict[str, bytes]:
    """Return files that are not archives of torch, or damaged ones."""
    system = pickled({"model": call("posix.system", f"touch {mark}")})
    good = archive(pickled({"epoch": 1, "model": None}))
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as file:
        for name in ("storages", "tensors", "pickle"):
            info = tarfile.TarInfo(name)
            info.size = len(system)
            file.addfile(info, io.BytesIO(system))
    legacy = io.BytesIO()
    torch.save({"model": Trap(mark)}, legacy, _use_new_zipfile_serialization=False)
    script = io.BytesIO()
    with zipfile.ZipFile(script, "w") as file:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            file.writestr(f"archive/{name}", system)
    double = io.BytesIO()
    with zipfile.ZipFile(double, "w") as file:
        file.writestr("archive/data.pkl", pickled({"model": None}))
        with _silent_duplicates():
            file.writestr("archive/data.pkl", system)
    return {
        "empty": b"",
        "text": b"not a checkpoint",
        "picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "plain-pickle": system,
        "plain-pickle-protocol-0": pickle.dumps({"model": Trap(mark)}, 0),
        "tar": tar.getvalue(),
        "legacy": legacy.getvalue(),
        "torchscript": script.getvalue(),
        "cut": good[: len(good) // 2],
        "no-directory": good[: good.rindex(b"PK\x01\x02")],
        "two-pickles": double.getvalue(),
        "archive-in-archive": archive(archive(system)),
        "not-a-torch-archive": _zip({"word/document.xml": b"<w/>"}),
        "no-byteorder-big": archive(pickled({})).replace(b"little", b"big\x00\x00\x00"),
        "a-list": archive(pickled([1, 2])),
        "a-tensor": archive(pickled(tensor()), {"data/0": bytes(16)}),
        "tensors-alone": archive(pickled({"model.0.weight": tensor()}), {"data/0": bytes(16)}),
        "model-is-a-list": archive(pickled({"model": [1], "ema": {}})),
        "settings-are-a-list": archive(pickled({"model": None, "train_args": [1]})),
        "missing-storage": archive(pickled({"model": linear(tensor(key="7"))})),
        "short-storage": archive(pickled({"model": linear(tensor())}), {"data/0": bytes(3)}),
    }


def bombs() -> dict[str, bytes]:
    """Return files that are small on disk and large in memory, or take forever."""
    nested = value([])
    deep = b"]" * 300_000 + b"a" * 299_999
    laugh = b"](" + value("lol") * 10 + b"e" + b"q\x00"
    for _ in range(12):
        laugh = laugh + b"0](" + b"h\x00" * 10 + b"eq\x00"
    keys = b"}(" + value(("x", "y")) + b"q\x00" + b"".join(b"0h\x00h\x00\x86q\x00" for _ in range(60)) + b"Nu"
    claimed = _zip({"archive/data.pkl": bytes(200_000_000)}, zipfile.ZIP_DEFLATED)
    weights = _zip(
        {
            "archive/data.pkl": pickled({"model": linear(tensor(size=10**8, shape=(10**8,)))}),
            "archive/data/0": bytes(4 * 10**8),
        },
        zipfile.ZIP_DEFLATED,
    )
    four = {"data/0": bytes(16)}
    return {
        "compressed-pickle": claimed,
        "compressed-weights": weights,
        "many-lists": archive(b"\x80\x02" + b"](" + b"]" * 6_000_000 + b"e."),
        "many-dicts": archive(b"\x80\x02" + b"](" + b"}" * 6_000_000 + b"e."),
        "many-sets": archive(b"\x80\x04" + b"](" + b"\x8f" * 6_000_000 + b"e."),
        "many-marks": archive(b"\x80\x02" + b"(" * 4_000_000 + b"."),
        "many-copies": archive(b"\x80\x02]" + b"2" * 4_000_000 + b"."),
        "deep": archive(b"\x80\x02" + value({"model": None, "train_args": Raw(deep)})[:-1] + b"u."),
        "deep-modules": archive(pickled({"model": nest(2_000)})),
        "alias-growth": archive(b"\x80\x02}(" + value("train_args") + laugh + b"u."),
        "keys-that-hash-forever": archive(b"\x80\x02" + keys + b"."),
        "memo-index": archive(b"\x80\x02}r\xff\xff\xff\x7f."),
        "bytes-claimed": archive(b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"."),
        "text-claimed": archive(b"\x80\x02X\xff\xff\xff\x7f."),
        "frame-claimed": archive(b"\x80\x04\x95" + struct.pack("<Q", 2**60) + nested + b"."),
        "long-number": archive(pickled({"model": None, "train_args": {"epochs": 10**4000}})),
        "stride-of-zero": archive(pickled({"model": linear(tensor(shape=(10**9,), strides=(0,)))}), four),
        "beyond-the-storage": archive(pickled({"model": linear(tensor(shape=(10**6,)))}), four),
        "storage-claimed": archive(pickled({"model": linear(tensor(size=2**40, shape=(2**40,)))}), four),
        "offset-claimed": archive(pickled({"model": linear(tensor(offset=2**61))}), four),
        "negative-shape": archive(pickled({"model": linear(tensor(shape=(-1,)))}), four),
        "many-dimensions": archive(pickled({"model": linear(tensor(shape=(1,) * 60, strides=(1,) * 60))}), four),
    }


def grown() -> dict[str, bytes]:
    """Return files that mean one thing very often: by aliases, by colliding keys, by arguments of layers."""

    def aliased(inner: Raw, count: int) -> Raw:
        """A list of one object, many times."""
        return Raw(b"](" + inner.code + b"q\x07" + b"h\x07" * count + b"e")

    def children(inner: Raw, count: int, text: str = "") -> Raw:
        rows = b"".join(value(f"{i}{text}") + b"h\x07" for i in range(count))
        return Raw(b"}(" + value("first") + inner.code + b"q\x07" + rows + b"u")

    leaf = module("torch.nn.modules.activation.SiLU", **{f"flag{i}": True for i in range(2_000)})
    plain_leaf = module("torch.nn.modules.activation.SiLU")
    long = Raw(value("x" * 300_000) + b"q\x06")
    pairs = Raw(call("collections.OrderedDict", 1).code + b"(" + (value("k") + b"N") * 30_000 + b"u")
    four = {"data/0": bytes(16)}

    def settings(inner: Raw, count: int = 20_000) -> bytes:
        return archive(pickled({"model": linear(tensor()), "train_args": {"a": aliased(inner, count)}}), four)

    def rows(*backbone: list[Any], **keys: Any) -> bytes:
        def change(model: Any) -> None:
            model.yaml["backbone"][:0] = []
            model.yaml.update(keys)
            if backbone:
                model.yaml["backbone"] = [*backbone, *model.yaml["backbone"][len(backbone) :]]

        return checkpoint(change)

    top = "torch.nn.modules.container.Sequential"
    record = {"format": 1, "task": "pose", "chain": ["detect", "pose"], "plugins": [], "needs": ["x"]}
    weights = {"w": torch.zeros(1)}
    return {
        "aliased-settings": archive(pickled({"model": module(top, _modules=children(leaf, 20_000))})),
        "aliased-children": archive(pickled({"model": module(top, _modules=children(plain_leaf, 20_000, "y" * 90))})),
        "long-child": archive(pickled({"model": module(top, _modules={"z" * 10**6: plain_leaf})})),
        "aliased-text-that-is-encoded": settings(call("_codecs.encode", long, "latin1")),
        "long-path": settings(call("pathlib.PosixPath", *(["p" * 2_000] * 500))),
        "aliased-pairs": settings(pairs),
        "long-name": settings(Raw(named("torch." + "n" * 100_000))),
        "key-of-many-digits": archive(b"\x80\x02}" + b"\x8b" + struct.pack("<I", 10**6) + bytes(10**6) + b"Ns."),
        "keys-that-collide": archive(pickled({i * (2**61 - 1): None for i in range(1, 20_000)})),
        "one-storage-in-several-sizes": archive(
            pickled(
                {"model": module(top, _parameters={f"w{i}": tensor(size=4 - i % 2, shape=(1,)) for i in range(4)})}
            ),
            four,
        ),
        "one-tensor-many-times": archive(
            pickled({"model": module(top, _parameters={f"w{i}": tensor() for i in range(2_000)})}), four
        ),
        "no-line-end": archive(b"\x80\x02cfoo"),
        "shape-that-overflows": archive(
            pickled({"model": linear(tensor(shape=(2**61, 2**61, 2**61, 0), strides=(1, 1, 1, 1)))}), four
        ),
        "layers-of-the-parser": rows([-1, 1, "nn.ModuleList", ["layers"]]),
        "clones": rows([-1, 1, "nn.Linear", [2000, 2000]], [-1, 1, "nn.TransformerEncoder", ["m_", 1000]]),
        "argument-that-is-no-syntax": rows([-1, 1, "Conv", [64, "1 +"]]),
        "argument-that-is-long": rows([-1, 1, "Conv", [64, "[" + "1," * 50_000 + "1]"]]),
        "activation-that-pools": rows(activation="nn.AdaptiveAvgPool2d((9000, 9000))"),
        "activation-that-is-no-syntax": rows(activation="torch.nn.SiLU({[]: 1})"),
        "scale-of-text": rows(depth_multiple="a" * 10_000, scales=None),
        "names-are-a-number": checkpoint(lambda model: setattr(model, "names", 5)),
        "names-are-text": checkpoint(lambda model: setattr(model, "names", "abc")),
        "activation-in-place-of-a-layer": checkpoint(_with_relu_for_upsample),
        "state-of-a-local-file": checkpoint(
            trainer_host={**record, "state_dict": weights, "cfg": "/etc/hostname.yaml"}
        ),
        "state-without-data": checkpoint(
            trainer_host={**record, "state_dict": weights, "cfg": small_architecture(), "data": {}}
        ),
        "state-of-odd-needs": checkpoint(
            trainer_host={**record, "state_dict": weights, "cfg": None, "needs": ["--index-url=http://127.0.0.1:9 x"]}
        ),
    }


def _with_relu_for_upsample(model: Any) -> None:
    place = next(i for i, m in enumerate(model.model) if type(m).__name__ == "Upsample")
    old, model.model[place] = model.model[place], torch.nn.ReLU()
    for name in ("i", "f", "type", "np"):
        setattr(model.model[place], name, getattr(old, name))


def linear(weight: Raw) -> Raw:
    return module("torch.nn.modules.linear.Linear", _parameters={"weight": weight})


def nest(depth: int) -> Raw:
    """Return modules in modules; put together from the inside, as nested calls would be too deep for Python too."""
    inner = module("torch.nn.modules.container.Sequential").code
    head = named("torch.nn.modules.container.Sequential") + b")\x81}(" + value("_parameters") + b"}" + value("_buffers")
    head += b"}" + value("_modules") + b"}(" + value("0")
    return Raw(head * depth + inner + b"uub" * depth)


@cache
def small_architecture() -> dict[str, Any]:
    """Return the engine's own architecture at a scale that takes milliseconds."""
    cfg = deepcopy(yaml_model_load("yolo11n-pose.yaml"))
    return {**cfg, "scales": {"n": [0.3, 0.0625, 64]}, "kpt_shape": [9, 3], "nc": 1}


@cache
def small_model() -> PoseModel:
    """Return a model of the engine as its trainer leaves it."""
    torch.manual_seed(0)
    model = PoseModel(deepcopy(small_architecture()), ch=3, nc=1, verbose=False).half().eval()
    model.names, model.args, model.task = {0: "figure"}, {"task": "pose", "imgsz": 64}, "pose"
    return model


def checkpoint(change: Any = None, **content: Any) -> bytes:
    """Return a checkpoint as stock writes it, with a model that was changed."""
    model = deepcopy(small_model())
    if change is not None:
        change(model)
    buffer = io.BytesIO()
    settings = {"task": "pose", "imgsz": 64, "data": "data.yaml"}
    torch.save({"epoch": -1, "model": model, "ema": None, "train_args": settings, **content}, buffer)
    return buffer.getvalue()


def with_yaml(**keys: Any) -> bytes:
    return checkpoint(lambda model: model.yaml.update(keys))


def with_row(row: list[Any]) -> bytes:
    def change(model: Any) -> None:
        model.yaml["backbone"][0] = row

    return checkpoint(change)


def contents(mark: str) -> dict[str, bytes]:
    """Return checkpoints whose pickle is harmless and whose data are not."""
    code = f"open({mark!r}, 'w')"
    folder = Path(mark).parent

    def poison(model: Any) -> None:
        model.model[0].conv.weight.data[0, 0, 0, 0] = float("nan")

    def flatten(model: Any) -> None:
        model.model[0].conv.weight.data = torch.tensor(1.0).half()

    def drop(model: Any) -> None:
        del model.model[0].conv

    def no_yaml(model: Any) -> None:
        del model.yaml

    record = {"format": 1, "task": "pose", "chain": ["detect", "pose"], "plugins": [], "data": {"nc": 1}}
    return {
        "activation": with_yaml(activation=code),
        "activation-hidden": with_yaml(activation=f"torch.nn.SiLU({code})"),
        "layer-is-a-function": with_row([-1, 1, "load_checkpoint", [f"{folder}/payload.pt"]]),
        "layer-is-a-model": with_row([-1, 1, "DetectionModel", [f"{folder}/payload.yaml"]]),
        "layer-fetches": with_row([-1, 1, "TorchVision", [64, "resnet18", "DEFAULT"]]),
        "layer-fetches-a-backbone": with_row([-1, 1, "TorchVision", [64, "fasterrcnn_resnet50_fpn", None]]),
        "layer-is-code": with_row([-1, 1, f"nn.SiLU() or {code}", []]),
        "layer-of-another-module": with_row([-1, 1, "torchvision.ops.misc.os.system", [f"touch {mark}"]]),
        "layer-unknown": with_row([-1, 1, "SPDConv", [64]]),
        "layer-enlarges": with_row([-1, 1, "nn.Upsample", [None, 4096, "nearest"]]),
        "layer-pads": with_row([-1, 1, "nn.ZeroPad2d", [60_000]]),
        "rows-are-text": with_yaml(backbone="abc"),
        "rows-are-short": with_yaml(backbone=[[1, 2]]),
        "head-is-gone": with_yaml(head=[]),
        "yaml-is-a-list": checkpoint(lambda model: setattr(model, "yaml", [1])),
        "no-yaml": checkpoint(no_yaml),
        "billion-classes": with_yaml(nc=10**9),
        "million-classes": with_yaml(nc=10**6),
        "no-classes": with_yaml(nc=None),
        "wide": with_yaml(scales={"n": [0.3, 10_000.0, 10**6]}),
        "deep-scale": with_yaml(scales={"n": [10**6, 0.0625, 64]}),
        "repeated": with_row([-1, 10**9, "Conv", [64, 3, 2]]),
        "many-points": with_yaml(kpt_shape=[10**6, 3]),
        "channels": with_yaml(channels=10**6),
        "nan-weights": checkpoint(poison),
        "zero-dimensional-weights": checkpoint(flatten),
        "layer-missing": checkpoint(drop),
        "quantized": checkpoint(modelopt={"modelopt_state_dict": []}),
        "size-of-images": checkpoint(train_args={"task": "pose", "imgsz": 10**6, "data": "data.yaml"}),
        "size-of-images-is-text": checkpoint(train_args={"task": "pose", "imgsz": code, "data": "data.yaml"}),
        "data-by-address": checkpoint(train_args={"task": "pose", "imgsz": 64, "data": f"{ADDRESS[:-3]}.yaml"}),
        "data-is-code": checkpoint(train_args={"task": "pose", "imgsz": 64, "data": f"{folder}/payload-data.yaml"}),
        "task-is-odd": checkpoint(train_args={"task": ["pose"]}, trainer_host={"task": ["pose"]}),
        "record-plugins": checkpoint(trainer_host={**record, "plugins": [1]}),
        "record-plugin-file": checkpoint(
            trainer_host={
                **record,
                "plugins": [
                    {"name": "payload", "kind": "extension", "distribution": f"{folder}/payload.py", "version": "file"}
                ],
                "needs": [f"{folder}/payload.py"],
            }
        ),
        "record-format": checkpoint(trainer_host={**record, "format": "new"}),
        "record-newer": checkpoint(trainer_host={**record, "format": 99}),
        "record-state": checkpoint(trainer_host={**record, "state_dict": [1], "cfg": None, "needs": []}),
        "record-state-of-lists": checkpoint(trainer_host={**record, "state_dict": {"a": [1]}, "needs": ["x"]}),
        "record-states": checkpoint(trainer_host={**record, "plugin_states": [1]}),
    }


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        import os

        return os.system, (f"touch {self.mark}",)


def _zip(records: dict[str, bytes], kind: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as file:
        for name, content in records.items():
            file.writestr(name, content)
    return buffer.getvalue()


def _silent_duplicates() -> Any:
    import warnings

    caught = warnings.catch_warnings()
    caught.__enter__()
    warnings.simplefilter("ignore")

    class _End:
        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None:
            caught.__exit__(None, None, None)

    return _End()


def write_payloads(folder: Path, mark: str) -> None:
    """Write what the files refer to: each leaves the mark where it is loaded."""
    code = f"open({mark!r}, 'w')"
    (folder / "payload.pt").write_bytes(pickle.dumps(Trap(mark)))
    (folder / "payload.npy").write_bytes(pickle.dumps(Trap(mark)))
    (folder / "payload.py").write_text(f"{code}\n", encoding="utf-8")
    (folder / "hubconf.py").write_text(f"{code}\n", encoding="utf-8")
    (folder / "payload.yaml").write_text(
        f"nc: 1\nactivation: {code}\nbackbone: [[-1, 1, Conv, [64, 3, 2]]]\nhead: [[[0], 1, Detect, [nc]]]\n",
        encoding="utf-8",
    )
    (folder / "payload-data.yaml").write_text(
        f"path: nowhere\ntrain: a\nval: a\nnames: [x]\nkpt_shape: [9, 3]\ndownload: {code}\n", encoding="utf-8"
    )
    (folder / "precious").mkdir()


def hostile_files(folder: Path) -> dict[str, Path]:
    """Write all of them, with their payloads; return their paths by name."""
    mark = str(folder / "mark")
    made = {**calls(mark), **states(mark), **containers(mark), **bombs(), **grown(), **contents(mark)}
    write_payloads(folder, mark)
    paths = {}
    for name, content in made.items():
        paths[name] = folder / f"{name}.pt"
        paths[name].write_bytes(content)
    return paths

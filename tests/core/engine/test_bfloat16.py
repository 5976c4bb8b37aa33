"""Training in bfloat16 on a CPU: which processors it needs, and what is computed in which precision."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from trainer_host import SettingsError

X86 = "processor\t: 0\nflags\t\t: fpu sse avx512f {}\n\nprocessor\t: 1\nflags\t\t: fpu\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd {}\nCPU implementer\t: 0x41\n"
CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.mark.parametrize(
    ("text", "able"),
    [
        (X86.format("avx512_bf16"), True),
        (X86.format("amx_tile amx_bf16"), True),
        (X86.format("avx512_vnni"), False),
        (ARM.format("bf16"), True),
        (ARM.format("svebf16x"), False),
        ("nothing\n", False),
        (None, False),
    ],
)
def test_processors_without_bfloat16_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, able: bool
) -> None:
    from trainer_host.engine.ultralytics import device_settings

    file = tmp_path / "cpuinfo"
    if text is not None:
        file.write_text(text)
    found = device_settings.processor_features(file)
    monkeypatch.setattr(device_settings, "processor_features", lambda: found)
    if able:
        device_settings.refuse_bfloat16("bf16", CPU)
    else:
        with pytest.raises(SettingsError, match=r"amp=bf16 needs a GPU or a processor.* Fix: write amp=True"):
            device_settings.refuse_bfloat16("bf16", CPU)
    device_settings.refuse_bfloat16(True, CPU)
    device_settings.refuse_bfloat16("bf16", GPU)  # of which torch says whether it does


def trainer_with(model: nn.Module, amp: Any = "bf16") -> Any:
    return SimpleNamespace(model=model, args=SimpleNamespace(amp=amp), amp=amp == "bf16", device=CPU)


def test_the_model_computes_in_bfloat16_and_the_loss_in_single_precision() -> None:
    from ultralytics.cfg import get_cfg
    from ultralytics.nn.tasks import DetectionModel

    from trainer_host.engine.ultralytics.reimplemented.mixed_precision import loss_in_single, precision

    torch.manual_seed(0)
    model: Any = DetectionModel("yolo11n.yaml", nc=2, verbose=False)
    model.args = get_cfg()
    seen: dict[str, Any] = {}
    criterion = model.init_criterion()

    def noted(predictions: Any, batch: Any) -> Any:
        seen["predictions"] = {k: v.dtype for k, v in predictions.items() if isinstance(v, torch.Tensor)}
        seen["autocast"] = torch.is_autocast_enabled("cpu")
        return criterion(predictions, batch)

    def note_convolution(layer: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        seen["convolution"] = output.dtype
        seen["channels last"] = output.is_contiguous(memory_format=torch.channels_last)

    model.criterion = noted
    model.model[0].conv.register_forward_hook(note_convolution)
    batch = {
        "img": torch.rand(2, 3, 64, 64),
        "batch_idx": torch.tensor([0.0, 1.0]),
        "cls": torch.tensor([[0.0], [1.0]]),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.4, 0.5, 0.3, 0.6]]),
    }
    trainer = trainer_with(model)
    with precision(trainer):
        loss, items = loss_in_single(trainer, batch)
    loss.sum().backward()
    assert seen["convolution"] == torch.bfloat16
    assert seen["channels last"]
    assert set(seen["predictions"].values()) == {torch.float32}
    assert seen["autocast"] is False
    assert loss.dtype == torch.float32
    assert all(p.grad.dtype == p.dtype == torch.float32 for p in model.parameters() if p.grad is not None)
    single, _ = model.loss(batch)
    assert loss.detach().sum().item() == pytest.approx(single.detach().sum().item(), rel=0.1)
    assert items.keys() >= {"box_loss"}


def test_another_model_computes_its_loss_itself() -> None:
    from trainer_host.engine.ultralytics.reimplemented.mixed_precision import loss_in_single, precision

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 1)

        def forward(self, batch: dict[str, torch.Tensor]) -> Any:
            found = self.layer(batch["img"])
            return found.float().sum(), {"loss": found.detach()}

    trainer = trainer_with(Own())
    with precision(trainer):
        loss, items = loss_in_single(trainer, {"img": torch.rand(2, 4)})
    assert loss.dtype == torch.float32
    assert items["loss"].dtype == torch.bfloat16


@pytest.mark.parametrize("amp", [True, False, "fp16", "fp32"])
def test_other_precisions_are_the_engines(amp: Any) -> None:
    from trainer_host.engine.ultralytics.reimplemented.mixed_precision import in_bfloat16_on_cpu, precision

    trainer = trainer_with(nn.Linear(1, 1), amp)
    assert not in_bfloat16_on_cpu(trainer)
    with precision(trainer):
        assert trainer.model(torch.rand(1, 1)).dtype == torch.float32

"""Images a second that a machine trains if a batch is in memory already: forward and backward pass, optimizer step.

python -m tests.benchmarks.resident_batch [--cores 2] [--imgsz 320] [--batch 8] [--steps 20] [--model yolo26n-pose.yaml]

It is what a training cannot exceed, with the number of threads that is best, as the engine computes it (float32).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from tests.benchmarks.machine_load import pinned

MODEL = "yolo26n-pose.yaml"
WARM_UP = 3

STEPS = """
import json, sys, time
import torch
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import PoseModel

model_file, imgsz, batch, steps, threads, warm_up = json.loads(sys.argv[1])
torch.set_num_threads(threads)
model = PoseModel(model_file, nc=1, data_kpt_shape=(17, 3), verbose=False).train()
model.args = get_cfg()
optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, nesterov=True)
count = 2 * batch
data = {
    "img": torch.rand(batch, 3, imgsz, imgsz),
    "cls": torch.zeros(count, 1),
    "bboxes": torch.rand(count, 4) * 0.3 + 0.3,
    "keypoints": torch.rand(count, 17, 3),
    "batch_idx": torch.arange(count) // 2,
}
taken = []
for _ in range(warm_up + steps):
    began = time.perf_counter()
    loss, _ = model(data)
    loss.sum().backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
    optimizer.step()
    optimizer.zero_grad()
    taken.append(time.perf_counter() - began)
print(json.dumps(taken[warm_up:]))
"""


def seconds_of_steps(threads: int, cores: int, imgsz: int, batch: int, steps: int, model: str = MODEL) -> list[float]:
    """Return the seconds of each step of a process with a number of threads."""
    given = json.dumps([model, imgsz, batch, steps, threads, WARM_UP])
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    command = pinned([sys.executable, "-c", STEPS, given], cores)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr[-3000:])
    taken: list[float] = json.loads(done.stdout.splitlines()[-1])
    return taken


def ceiling(cores: int, imgsz: int, batch: int, steps: int = 20, model: str = MODEL) -> float:
    """Return the images a second of the best number of threads."""
    numbers = sorted({1, cores})
    return max(batch / statistics.median(seconds_of_steps(n, cores, imgsz, batch, steps, model)) for n in numbers)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.resident_batch", description=__doc__)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--model", default=MODEL)
    given = parser.parse_args()
    began = time.perf_counter()
    found = ceiling(given.cores, given.imgsz, given.batch, given.steps, given.model)
    print(f"{found:.1f} images a second at {given.imgsz} px ({time.perf_counter() - began:.0f} s to measure)")


if __name__ == "__main__":
    main()

"""A trainer as people write them for the engine: it knows nothing of the host."""

from copy import copy

import torch
from ultralytics.data import build_dataloader
from ultralytics.models.yolo.pose import PoseTrainer, PoseValidator


class CarefulPoseValidator(PoseValidator):
    """Takes a stricter view of what is found."""

    def get_stats(self):
        stats = super().get_stats()
        return {**stats, "metrics/careful": 0.5 + 0.5 * stats["metrics/mAP50(P)"]}


class CarefulPoseTrainer(PoseTrainer):
    """Weighs keypoints less, sees noise in each image, keeps their order, and spares a layer in the first epoch."""

    def get_dataloader(self, dataset_path, batch_size=16, rank=0, mode="train"):
        if mode != "train":
            return super().get_dataloader(dataset_path, batch_size, rank, mode)
        dataset = self.build_dataset(dataset_path, mode, batch_size)
        return build_dataloader(dataset, batch_size, workers=0, shuffle=False)  # images in their order

    def get_model(self, cfg=None, weights=None, verbose=True):
        model = super().get_model(cfg, weights, verbose)
        with torch.no_grad():
            model.model[0].conv.weight.mul_(0.5)
        return model

    def set_model_attributes(self):
        super().set_model_attributes()
        self.model.args.pose = 6.0

    def preprocess_batch(self, batch):
        batch = super().preprocess_batch(batch)
        batch["img"] = (batch["img"] + 0.05 * torch.randn_like(batch["img"])).clamp(0, 1)
        return batch

    def optimizer_step(self):
        if self.epoch == 0:
            for parameter in self.model.model[0].parameters():
                parameter.grad = None
        super().optimizer_step()

    def get_validator(self):
        args, given = copy(self.args), {"save_dir": self.save_dir, "_callbacks": self.callbacks}
        return CarefulPoseValidator(self.test_loader, args=args, **given)

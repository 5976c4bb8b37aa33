"""A task as it was written for release 0.1: every hook, with all of its arguments. It is kept as it is."""

import json

from trainer_host import Finding, TaskSpec, hookimpl


class Count:
    """Counts the images that were measured."""

    def reset(self):
        self.images = 0

    def update(self, found, truth):
        self.images += 1

    def compute(self):
        return float(self.images)


class Hooks:
    """Leaves every answer of detect as it is, and notes which hooks were asked."""

    def __init__(self):
        self.called = set()

    def noted(self, name, answer):
        self.called.add(name)
        return answer

    @hookimpl(wrapper=True)
    def read_dataset(self, ctx):
        return self.noted("read_dataset", (yield))

    @hookimpl(wrapper=True)
    def sniff_dataset(self, source):
        return self.noted("sniff_dataset", (yield))

    @hookimpl
    def check_dataset(self, ctx):
        self.called.add("check_dataset")
        yield Finding("first-hooks", "checked.", severity="warning")

    @hookimpl
    def suggest_keys(self, ctx):
        self.called.add("suggest_keys")
        return {}

    @hookimpl(wrapper=True)
    def annotate_image(self, ctx):
        return self.noted("annotate_image", (yield))

    @hookimpl
    def histograms(self, ctx):
        self.called.add("histograms")
        return ()

    @hookimpl
    def augmentations(self, ctx):
        self.called.add("augmentations")
        return ()

    @hookimpl(wrapper=True)
    def build_dataset(self, ctx):
        return self.noted("build_dataset", (yield))

    @hookimpl(wrapper=True)
    def build_sampler(self, ctx, dataset):
        return self.noted("build_sampler", (yield))

    @hookimpl(wrapper=True)
    def build_dataloader(self, ctx, dataset):
        return self.noted("build_dataloader", (yield))

    @hookimpl(wrapper=True)
    def preprocess_batch(self, ctx, batch):
        return self.noted("preprocess_batch", (yield))

    @hookimpl
    def layers(self, ctx):
        self.called.add("layers")
        return {}

    @hookimpl(wrapper=True)
    def build_model(self, ctx):
        return self.noted("build_model", (yield))

    @hookimpl
    def set_model_attributes(self, ctx):
        self.called.add("set_model_attributes")
        ctx.model.first = [1, 2]

    @hookimpl(wrapper=True)
    def build_loss(self, ctx):
        return self.noted("build_loss", (yield))

    @hookimpl(wrapper=True)
    def share_loss(self, ctx, loss):
        return self.noted("share_loss", (yield))

    @hookimpl
    def loss_terms(self, ctx):
        self.called.add("loss_terms")
        return {"first_loss": lambda preds, batch: batch["img"].sum() * 0}

    @hookimpl(wrapper=True)
    def build_optimizer(self, ctx):
        return self.noted("build_optimizer", (yield))

    @hookimpl(wrapper=True)
    def build_schedule(self, ctx):
        return self.noted("build_schedule", (yield))

    @hookimpl
    def finish_setup(self, ctx):
        self.called.add("finish_setup")
        assert ctx.engine.optimizer is not None

    @hookimpl(wrapper=True)
    def build_autobatch_hints(self, ctx):
        return self.noted("build_autobatch_hints", (yield))

    @hookimpl(wrapper=True)
    def build_validator(self, ctx):
        return self.noted("build_validator", (yield))

    @hookimpl
    def metrics(self, ctx):
        self.called.add("metrics")
        return {"metrics/first": Count()}

    @hookimpl(wrapper=True)
    def postprocess_predictions(self, ctx, found):
        return self.noted("postprocess_predictions", (yield))

    @hookimpl(wrapper=True)
    def compute_fitness(self, ctx, metrics):
        return self.noted("compute_fitness", (yield))

    @hookimpl(wrapper=True)
    def evaluate_best(self, ctx):
        return self.noted("evaluate_best", (yield))

    @hookimpl
    def callbacks(self, ctx):
        self.called.add("callbacks")
        return {"on_train_end": lambda trainer: self.called.add("on_train_end")}

    @hookimpl
    def launchers(self):
        return {}

    @hookimpl
    def log_metrics(self, ctx):
        self.called.add("log_metrics")
        if ctx.epoch is None:
            (ctx.save_dir / "hooks.json").write_text(json.dumps(sorted(self.called)), encoding="utf-8")

    @hookimpl
    def state_dict(self, ctx):
        self.called.add("state_dict")
        return {"number": 1}

    @hookimpl
    def load_state_dict(self, ctx, state):
        self.called.add("load_state_dict")
        assert state == {"number": 1}

    @hookimpl(wrapper=True)
    def plot_data(self, ctx):
        return self.noted("plot_data", (yield))

    @hookimpl(wrapper=True)
    def build_predictor(self, ctx):
        return self.noted("build_predictor", (yield))

    @hookimpl(wrapper=True)
    def draw_prediction(self, ctx, prediction):
        return self.noted("draw_prediction", (yield))

    @hookimpl(wrapper=True)
    def build_sample(self, ctx):
        return self.noted("build_sample", (yield))


TASK = TaskSpec(hooks=Hooks(), base="detect")

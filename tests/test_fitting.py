"""Which epoch is kept, what the history says, and weights that survive the disk."""

import lightning
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from lusnb.segment import fitting

nan = float("nan")


class Scripted(lightning.LightningModule):
    """One weight that grows by the learning rate 1, 2, 3, ... each epoch; a monitor that follows a script."""

    def __init__(self, script: list[float]):
        super().__init__()
        self.network = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.network.weight)
        self.script = script

    def training_step(self, batch, _):
        loss = -self.network.weight.sum()
        self.log("train_loss", loss, on_epoch=True, on_step=False, batch_size=1)
        return loss

    def validation_step(self, batch, _):
        self.log("score", self.script[self.current_epoch], on_epoch=True, batch_size=1)

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.network.parameters(), lr=1.0)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1.0 + epoch)
        return {"optimizer": optimizer, "lr_scheduler": schedule}


def weight_after(epoch: int) -> float:
    """The weight at the end of an epoch: the sum of the learning rates 1, 2, 3, ... up to it."""
    return sum(range(1, epoch + 2))


def fitted(script: list[float], highest: bool = True, validate: bool = True):
    module = Scripted(script)
    loader = DataLoader(torch.zeros(1, 1))
    history = fitting.fit(
        module,
        loader,
        loader if validate else None,
        epochs=len(script),
        precision="32-true",
        monitor="score",
        highest=highest,
    )
    return module, history


@pytest.mark.parametrize(
    ("script", "highest", "kept"),
    [
        ([0.1, 0.5, 0.3], True, 1),
        ([0.1, 0.5, 0.3], False, 0),
        ([0.4, 0.1, 0.4, 0.2], True, 2),  # of a tie the later
        ([0.4, 0.1, 0.1, 0.2], False, 2),
        ([nan, 0.2, nan, 0.1], True, 1),  # a number beats what is undefined, before and after
        ([nan, 0.2, nan, 0.3], False, 1),
        ([0.2, nan, nan], True, 0),
        ([nan, nan, nan], True, 2),  # undefined throughout: the last
        ([0.0, nan], True, 0),  # zero is a score
    ],
)
def test_the_epoch_that_is_kept(script, highest, kept):
    module, history = fitted(script, highest)
    assert history.index[history["best"]].tolist() == [kept]
    assert module.network.weight.item() == weight_after(kept)


def test_without_validation_the_last_epoch_is_kept():
    module, history = fitted([0.0, 0.0, 0.0], validate=False)
    assert history["best"].tolist() == [False, False, True]
    assert module.network.weight.item() == weight_after(2)
    assert "score" not in history


def test_the_network_is_left_in_eval_mode():
    module, _ = fitted([0.1])
    assert not module.network.training


def test_the_history_has_one_row_an_epoch_with_what_was_logged():
    _, history = fitted([0.1, 0.5, 0.3])
    assert list(history) == ["epoch", "lr", "score", "train_loss", "best"]
    assert history["epoch"].tolist() == [0, 1, 2]
    np.testing.assert_allclose(history["score"], [0.1, 0.5, 0.3], rtol=1e-6)
    assert history["train_loss"].tolist() == [0, -1, -3]


def test_the_history_tells_the_learning_rate_that_the_epoch_was_trained_with():
    _, history = fitted([0.1, 0.5, 0.3])
    assert history["lr"].tolist() == [1, 2, 3]


def test_training_leaves_no_file_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fitted([0.1])
    assert list(tmp_path.iterdir()) == []


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


def test_saved_weights_are_restored_to_the_bit(tmp_path):
    one, other = network(0).to(memory_format=torch.channels_last), network(1)
    one[1].running_mean += 0.5
    fitting.save(tmp_path / "model.safetensors", one)
    assert fitting.restore(tmp_path / "model.safetensors", other) is other
    for name, value in one.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value, rtol=0, atol=0)
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_weights_of_another_shape_are_not_restored(tmp_path):
    fitting.save(tmp_path / "model.safetensors", network(0))
    with pytest.raises(RuntimeError, match="Error.* in loading state_dict"):
        fitting.restore(tmp_path / "model.safetensors", nn.Conv2d(1, 4, 3))


def test_the_same_weights_make_the_same_file(tmp_path):
    for name in "ab":
        fitting.save(tmp_path / name, network(0))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


class Overrated(DataLoader):
    """A loader that claims one batch more than it yields."""

    def __len__(self) -> int:
        return super().__len__() + 1


class Still(Scripted):
    """A schedule that Lightning never steps within the training."""

    def configure_optimizers(self):
        found = super().configure_optimizers()
        return {**found, "lr_scheduler": {"scheduler": found["lr_scheduler"], "frequency": 100}}


def fit_of(module, train, validation):
    return fitting.fit(
        module, train, validation, epochs=2, precision="32-true", monitor="score", highest=True
    )


def test_a_loader_that_is_shorter_than_its_length_is_not_passed_over():
    loader = DataLoader(torch.zeros(2, 1))
    with pytest.raises(RuntimeError, match="expected 2 validations in 2 epochs, got 0; the batches that the"):
        fit_of(Scripted([0.1, 0.2]), Overrated(torch.zeros(2, 1)), loader)
    with pytest.raises(RuntimeError, match="expected 6 optimiser steps in 2 epochs, got 4; the batches"):
        fit_of(Unscheduled([0.1, 0.2]), Overrated(torch.zeros(2, 1)), None)


class Unscheduled(Scripted):
    def configure_optimizers(self):
        return super().configure_optimizers()["optimizer"]


def test_a_schedule_that_stood_still_is_not_passed_over():
    loader = DataLoader(torch.zeros(2, 1))
    with pytest.raises(RuntimeError, match="expected 2 steps of the learning-rate schedule in 2 epochs, got"):
        fit_of(Still([0.1, 0.2]), loader, loader)

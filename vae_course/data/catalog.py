"""Which files make up which set, and the digest of what each must contain."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from vae_course.data.formats import decode_cifar, decode_idx

PACKING_BYTES = 1_000_000  # what a packed file, or an archive, may be larger than its files


@dataclass(frozen=True)
class File:
    """One file, known by its *decompressed* content, so that every packing of it is as good.

    Attributes:
        path: Below the data folder, as torchvision lays it out.
        size: In bytes.
        digest: ``"sha256:…"``, or ``"md5:…"`` where its publisher gives no other.
    """

    path: str
    size: int
    digest: str

    @property
    def name(self) -> str:
        """The last part of ``path``."""
        return Path(self.path).name


@dataclass(frozen=True)
class Dataset:
    """A set: its files by split, how they decode, and where they can come from.

    Attributes:
        name: As given to ``load``.
        classes: The names of the labels.
        splits: The files of each split, in the order ``decode`` takes them.
        decode: From the files' contents to images ``(N, C, H, W)`` and labels ``(N,)``.
        torchvision: The class in ``torchvision.datasets`` that knows the mirrors; "" for none.
        shared: A folder outside the data folder with ``NAME.gz`` files, read in place.
        archive: The one archive that carries all files, in the data folder; "" for none.
    """

    name: str
    classes: tuple[str, ...]
    splits: dict[str, tuple[File, ...]]
    decode: Callable[..., tuple[Tensor, Tensor]]
    torchvision: str = ""
    shared: Path | None = None
    archive: str = ""

    @property
    def files(self) -> tuple[File, ...]:
        """The files of all splits."""
        return tuple(file for files in self.splits.values() for file in files)

    @property
    def limit(self) -> int:
        """More bytes than this, packed or unpacked, no file of the set has."""
        return sum(file.size for file in self.files) + PACKING_BYTES


def _idx(folder: str, train: int, test: int, *digests: str) -> dict[str, tuple[File, ...]]:
    """Name the image and label files of both splits, given the SHA-256 digests of their contents.

    The digests are of the training images, their labels, the test images and their labels.
    """
    splits: dict[str, tuple[File, ...]] = {}
    known = iter(digests)
    for split, prefix, count in (("train", "train", train), ("test", "t10k", test)):
        splits[split] = (
            File(f"{folder}{prefix}-images-idx3-ubyte", 16 + 784 * count, f"sha256:{next(known)}"),
            File(f"{folder}{prefix}-labels-idx1-ubyte", 8 + count, f"sha256:{next(known)}"),
        )
    return splits


def _batch(name: str, size: int, md5: str) -> File:
    return File(f"cifar-10-batches-py/{name}", size, f"md5:{md5}")


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(", "))


_GARMENTS = _names(
    "T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot"
)

_FASHION_MNIST = Dataset(
    name="fashion-mnist",
    classes=_GARMENTS,
    splits=_idx(
        "FashionMNIST/raw/",
        60_000,
        10_000,
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
    decode=decode_idx,
    torchvision="FashionMNIST",
    shared=Path("/usr/share/datasets/fashion-mnist"),  # Debian's package dataset-fashion-mnist
)

# Made by scripts/make_mini.py, which prints these digests.
_FASHION_MNIST_MINI = Dataset(
    name="fashion-mnist-mini",
    classes=_GARMENTS,
    splits=_idx(
        "",
        10_000,
        2_000,
        "0c2e64bae01166ead4b94058483829bbf5589638e6bfa36aa3ce82be27d51756",
        "ad59381af5236099e46ecb0f5541823dbdddb452167024448418f38cf2b62674",
        "ef7fb166e0eea9ad585305120016e51673f62a71eab6a8488f78c4da6982a43b",
        "627748c1ba85c926efcf74cc7c13409adedc8d8747e6e5357f8019eec769394c",
    ),
    decode=decode_idx,
    shared=Path(__file__).parent / "bundled",
)

_MNIST = Dataset(
    name="mnist",
    classes=tuple("0123456789"),
    splits=_idx(
        "MNIST/raw/",
        60_000,
        10_000,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    decode=decode_idx,
    torchvision="MNIST",
)

# The MD5 digests are those of torchvision.datasets.CIFAR10.
_CIFAR10 = Dataset(
    name="cifar10",
    classes=_names("airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck"),
    splits={
        "train": (
            _batch("data_batch_1", 31_035_704, "c99cafc152244af753f735de768cd75f"),
            _batch("data_batch_2", 31_035_320, "d4bba439e000b95fd0a9bffe97cbabec"),
            _batch("data_batch_3", 31_035_999, "54ebc095f3ab1f0389bbae665268c751"),
            _batch("data_batch_4", 31_035_696, "634d18415352ddfa80567beed471001a"),
            _batch("data_batch_5", 31_035_623, "482c414d41f54cd18b22e5b47cb7c3cb"),
        ),
        "test": (_batch("test_batch", 31_035_526, "40351d587109b95175f43aff81a1287e"),),
    },
    decode=decode_cifar,
    torchvision="CIFAR10",
    archive="cifar-10-python.tar.gz",
)

DATASETS = {d.name: d for d in (_FASHION_MNIST, _FASHION_MNIST_MINI, _MNIST, _CIFAR10)}

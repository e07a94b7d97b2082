"""Images as artifacts: arrays and pictures as files, alone or as series with steps that a page can play."""

from __future__ import annotations

import re
import uuid
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.active.files import log_saved
from toolkit.errors import InvalidValue
from toolkit.ids import now_ms
from toolkit.recording.run import RecordedRun

if TYPE_CHECKING:
    import numpy as np
    import PIL.Image as Pictures

LOGGED_IMAGES = "mlflow.loggedImages"
"""Tag of a run that has series of images."""

_KEY = re.compile(r"[a-zA-Z0-9_\-./ ]+")
_SMALL = (256, 256)


class Image:
    """An image to log, or to put into a table.

    Args:
        image: An array, nested lists of pixels, an image of Pillow, or the path of a file.

    Raises:
        InvalidValue: It is something else, or no image.
    """

    def __init__(self, image: object) -> None:
        if isinstance(image, str | Path):
            pictures = _pillow()
            with pictures.open(image) as opened:
                opened.load()
                self.image = opened.copy()
        elif isinstance(image, list):
            import numpy as np  # noqa: PLC0415 - for lists

            self.image = picture_of(np.array(image))
        else:
            self.image = picture_of(image)
        self.size: tuple[int, int] = self.image.size

    def to_pil(self) -> Pictures.Image:
        """Return the image as Pillow's."""
        picture: Pictures.Image = self.image
        return picture

    def to_array(self) -> np.ndarray[Any, Any]:
        """Return the pixels as an array of NumPy."""
        import numpy as np  # noqa: PLC0415 - only for this

        return np.array(self.image)

    def to_list(self) -> list[Any]:
        """Return the pixels as a list, line after line."""
        pixels = self.to_array()
        flat = pixels.reshape(-1, *pixels.shape[2:]).tolist()
        return [tuple(each) if isinstance(each, list) else each for each in flat]

    def save(self, path: str | Path) -> None:
        """Write the image to a file."""
        self.image.save(path)

    def resize(self, size: tuple[int, int]) -> Image:
        """Return a copy of another size, as (width, height) in pixels."""
        return Image(self.image.resize(size))


def save_image(
    run: RecordedRun,
    image: object,
    *,
    artifact_file: str | None,
    key: str | None,
    step: int | None,
    timestamp: int | None,
) -> None:
    """Store an image: under its name, or under a key and a step with a small copy beside it.

    Raises:
        InvalidValue: Both or neither of name and key were given, the key cannot be used, or it is no image.
    """
    if artifact_file is not None and (key, step, timestamp) != (None, None, None):
        raise InvalidValue("artifact_file cannot be used together with key, step or timestamp: give it alone")
    if artifact_file is None and key is None:
        raise InvalidValue("log_image wants artifact_file (one image) or key (a series of images), one of them")
    picture = picture_of(image)
    if artifact_file is not None:
        log_saved(run, artifact_file, picture.save)
        return
    assert key is not None
    if not _KEY.fullmatch(key):
        raise InvalidValue(f"the image key {key!r} may have letters of ASCII, digits, '_', '-', '.', ' ' and '/' only")
    moment = now_ms() if timestamp is None else timestamp
    # A key may have slashes, but the images of a run lie in one folder: MLflow's pages look for them there.
    name = f"images/{key.replace('/', '~')}+step+{step or 0}+timestamp+{moment}+{uuid.uuid4()}"
    log_saved(run, f"{name}.png", picture.save)
    log_saved(run, f"{name}+compressed.webp", small(picture).save)
    run.set_tags({LOGGED_IMAGES: True})


def small(picture: Pictures.Image) -> Pictures.Image:
    """Return a copy that is at most 256 pixels wide and high."""
    copy = picture.copy()
    copy.thumbnail(_SMALL)
    return copy


def is_picture(value: object) -> bool:
    """Tell whether a value is an image of Pillow, or an `Image`."""
    return isinstance(value, Image) or any(kind.__module__ == "PIL.Image" for kind in type(value).__mro__)


def picture_of(image: object) -> Pictures.Image:
    """Return an image as Pillow's.

    Raises:
        InvalidValue: It is no image, or an array that cannot be one.
    """
    if isinstance(image, Image):
        return image.to_pil()
    if is_picture(image):
        return image  # type: ignore[return-value]  # is_picture looked
    if type(image).__module__.partition(".")[0] != "numpy" or not hasattr(image, "dtype"):
        raise InvalidValue(
            f"Unsupported image object type: {type(image)}: wanted an array of NumPy, an image of Pillow, toolkit.Image"
        )
    picture: Pictures.Image = _pillow().fromarray(_pixels(image))  # type: ignore[arg-type]  # an array
    return picture


def _pixels(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return an array as bytes of gray, RGB or RGBA."""
    if array.dtype.kind not in "biuf":
        raise InvalidValue(f"Invalid array data type: '{array.dtype}': wanted integers, floats or booleans")
    if array.ndim not in (2, 3) or array.size == 0:
        raise InvalidValue(f"`image` must be a 2D or 3D array but got image shape: {array.shape}")
    if array.ndim == 3 and array.shape[2] not in (1, 3, 4):
        raise InvalidValue(f"Invalid channel length: {array.shape[2]}. Must be one of [1, 3, 4]")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    import numpy as np  # noqa: PLC0415 - the array is there

    if array.dtype.kind == "b":
        return np.where(array, np.uint8(255), np.uint8(0))
    low, high = array.min(), array.max()
    if array.dtype.kind in "iu":
        if low < 0 or high > 255:
            raise InvalidValue(
                f"Integer pixel values out of acceptable range [0, 255]: the least is {low}, the greatest {high}"
            )
        return array.astype("uint8")
    if not (low >= 0 and high <= 1):  # also if one is NaN
        warnings.warn(
            f"Float pixel values out of acceptable range [0.0, 1.0]: {low} to {high}; they are scaled to it",
            stacklevel=4,
        )
        array = (array - low) / ((high - low) or 1)
    scaled: np.ndarray[Any, Any] = np.nan_to_num(array) * 255
    return scaled.astype("uint8")


def _pillow() -> Any:  # noqa: ANN401 - the module
    try:
        import PIL.Image  # noqa: PLC0415 - optional
    except ImportError:
        raise InvalidValue("images need Pillow, which is not installed: pip install pillow") from None
    return PIL.Image

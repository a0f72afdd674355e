"""GIF, WebP and MP4 of frames on disk: one frame in memory at a time, however many there are."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import StrobeError
from ..export.labels import Label
from .compose import Pixels, Reel

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

CLEAR = 255
"""The place in a GIF's palette that shows what was there before."""
SAMPLES = 5
"""Frames that the colours of a GIF are taken from: first, last and between."""
EXACT = 128
"""Colours of a GIF that are taken as they are, the most frequent ones: backgrounds, text, lines, cells of a map. The rest are averages."""


# --- GIF ---------------------------------------------------------------------------------------------------------------------------------------


def write_gif(reel: Reel, durations: Sequence[int], output: Path, loop: int, label: Label) -> None:
    """A GIF of one palette for all frames, each holding only what has changed. Pillow's own writer keeps every frame in memory."""
    size = reel.size()
    palette = Palette(_colours(reel, size))
    with output.open("wb") as file:
        file.write(_header(palette, size, loop, label))
        held, block = 0, b""
        for change, duration in zip(_changes(reel, size, palette), durations, strict=True):
            if change is None:
                held += duration
                continue
            file.write(_timed(block, held))
            block, held = change, duration
        file.write(_timed(block, held))
        file.write(b";")


def _changes(reel: Reel, size: tuple[int, int], palette: Palette) -> Iterator[bytes | None]:
    """Of each frame the rectangle in which it differs from the one before, what is the same in it left transparent; None: nothing differs."""
    from PIL import Image

    page = None if reel.page is None else palette.apply(reel.still(size))
    shown = np.full((size[1], size[0]), CLEAR, dtype=np.uint8)
    before: list[Pixels] | None = None
    for i in range(len(reel)):
        now = reel.changed(i)
        left, top, right, bottom = (0, 0, *size) if now is None or before is None else _hull([*now, *before], size)
        new, old = _as_places(reel, i, size, palette, page)[top:bottom, left:right], shown[top:bottom, left:right]
        differs = new != old
        rows, columns = (differs.any(axis=axis).nonzero()[0].tolist() for axis in (1, 0))
        before = now
        if not rows:
            yield None
            continue
        y, x = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        yield _block(Image.fromarray(np.where(differs[y, x], new[y, x], CLEAR).astype(np.uint8)), (left + x.start, top + y.start))
        old[:] = new


def _as_places(reel: Reel, i: int, size: tuple[int, int], palette: Palette, page: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """A frame as places in the palette: only what differs from the page is looked up."""
    if page is None or reel.changed(i) is None:
        return palette.apply(reel.picture(i, size))
    places = page.copy()
    for patch in reel.patches(i):
        left, top, right, bottom = patch.box
        places[top:bottom, left:right] = palette.apply(patch.picture)
    return places


def _hull(boxes: Sequence[Pixels], size: tuple[int, int]) -> Pixels:
    if not boxes:
        return 0, 0, 1, 1
    return min(b[0] for b in boxes), min(b[1] for b in boxes), min(max(b[2] for b in boxes), size[0]), min(max(b[3] for b in boxes), size[1])


class Palette:
    """255 colours and nothing, and which of them is nearest to any other: exactly, where Pillow's own search is a few levels off."""

    def __init__(self, colours: Sequence[int]) -> None:
        self.bytes = bytes(colours) + bytes(768 - len(colours))
        self.colours = np.frombuffer(self.bytes, dtype=np.uint8).reshape(256, 3)[:CLEAR].astype(np.int32)
        self.nearest = np.full(1 << 24, -1, dtype=np.int16)  # colour -> its place in the palette, -1 until it is asked for

    def apply(self, image: Image) -> NDArray[np.uint8]:
        """The picture as places in the palette."""
        pixels = np.asarray(image, dtype=np.int32)
        packed = pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]
        for colour in np.unique(packed[self.nearest[packed] < 0]):
            apart = self.colours - [colour >> 16, colour >> 8 & 255, colour & 255]
            self.nearest[colour] = int((apart**2).sum(axis=1).argmin())
        places: NDArray[np.uint8] = self.nearest[packed].astype(np.uint8)
        return places


def _colours(reel: Reel, size: tuple[int, int]) -> list[int]:
    """Red, green and blue of each colour of the palette."""
    from PIL import Image

    chosen = sorted({round(i * (len(reel) - 1) / (SAMPLES - 1)) for i in range(SAMPLES)})
    counts: Counter[Any] = Counter()
    pictures = [reel.still(size)] if reel.page is not None else []
    for i in chosen:
        pictures += [reel.picture(i, size)] if reel.changed(i) is None else [patch.picture for patch in reel.patches(i)]
    for picture in pictures:
        counts.update({colour: n for n, colour in picture.getcolors(picture.width * picture.height) or []})
    counted = sorted(((n, colour) for colour, n in counts.items()), reverse=True)
    exact = [channel for _, colour in counted[:EXACT] for channel in colour]
    rest = np.repeat(np.array([colour for _, colour in counted[EXACT:]], dtype=np.uint8).reshape(-1, 3), [n for n, _ in counted[EXACT:]], axis=0)
    if not len(rest):
        return exact
    averages = Image.fromarray(rest[None]).quantize(CLEAR - EXACT, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).getpalette()
    return [*exact, *(averages or [])][: 3 * CLEAR]


def _header(palette: Palette, size: tuple[int, int], loop: int, label: Label) -> bytes:
    screen = b"GIF89a" + size[0].to_bytes(2, "little") + size[1].to_bytes(2, "little") + b"\xf7\x00\x00"
    looping = b"" if loop == 1 else b"!\xff\x0bNETSCAPE2.0\x03\x01" + max(loop - 1, 0).to_bytes(2, "little") + b"\x00"
    return screen + palette.bytes + looping + _comment(f"{label.title}\n{label.description}\n{label.json}")


def _comment(text: str) -> bytes:
    data = text.encode("utf-8")
    return b"!\xfe" + b"".join(bytes([len(part)]) + part for i in range(0, len(data), 255) if (part := data[i : i + 255])) + b"\x00"


def _block(image: Image, at: tuple[int, int]) -> bytes:
    """A picture within the screen, mode L, without a palette of its own: what Pillow writes for it, less its header."""
    from PIL import GifImagePlugin

    parts = GifImagePlugin.getdata(image, offset=at, include_color_table=False)
    return b"".join(parts)


def _timed(block: bytes, milliseconds: int) -> bytes:
    """A picture with the time for which it stands, in hundredths of a second: browsers slow down what is shorter than two."""
    if not block:
        return b""
    return b"!\xf9\x04\x05" + min(max(round(milliseconds / 10), 2), 65535).to_bytes(2, "little") + bytes([CLEAR, 0]) + block


# --- WebP --------------------------------------------------------------------------------------------------------------------------------------


def write_webp(reel: Reel, durations: Sequence[int], output: Path, loop: int, label: Label) -> None:
    """A lossless WebP; the label is its XMP."""
    from PIL import Image

    from ..export.svg import escaped

    size = reel.size()

    class Loaded(Image.Image):
        """All frames as one picture that is loaded when it is looked at: a list of them would stay in memory."""

        n_frames = len(reel)
        is_animated = True
        at = -1

        def seek(self, frame: int) -> None:
            if frame != self.at:
                shown = reel.picture(frame, size)
                self.im, self._mode, self._size, self.at = shown.im, shown.mode, shown.size, frame

        def tell(self) -> int:
            return self.at

    film = Loaded()
    film.seek(0)
    said = f"{escaped(label.title)}: {escaped(label.description)}"
    xmp = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:description>{said}</dc:description><dc:source>{escaped(label.json)}</dc:source></rdf:Description></rdf:RDF></x:xmpmeta>'
    buffer = io.BytesIO()
    options: dict[str, Any] = {"lossless": True, "quality": 60, "method": 3, "minimize_size": False}
    film.save(buffer, "WEBP", save_all=True, duration=list(durations), loop=loop, xmp=xmp.encode(), **options)
    output.write_bytes(buffer.getbuffer())


# --- MP4 ---------------------------------------------------------------------------------------------------------------------------------------


def write_mp4(reel: Reel, durations: Sequence[int], output: Path, loop: int, label: Label) -> None:
    """H.264 that players and browsers open, each frame for its own time. `loop` is the player's business."""
    check_mp4()
    from fractions import Fraction

    import av

    width, height = reel.size()
    size = (width + width % 2, height + height % 2)  # the format halves the resolution of colour
    with av.open(str(output), "w", format="mp4", options={"movflags": "faststart+use_metadata_tags"}) as container:
        container.metadata.update({"title": label.title, "comment": label.description, "description": label.json})
        stream = container.add_stream("libx264", rate=30, options={"crf": "18", "preset": "medium", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        at = 0
        for i, duration in enumerate(durations):
            canvas = reel.picture(i, size)
            for start in (at, at + duration - 1) if i == len(reel) - 1 and duration > 1 else (at,):
                frame = av.VideoFrame.from_image(canvas)
                frame.pts, frame.time_base = start, Fraction(1, 1000)
                container.mux(stream.encode(frame))
            at += duration
        container.mux(stream.encode(None))


def check_mp4() -> None:
    """Raises `StrobeError` unless what writes MP4 is installed."""
    try:
        import av  # noqa: F401
    except ImportError as e:
        raise StrobeError("mp4 needs the package av: `pip install 'strobe[video]'`; gif and webp need nothing more") from e


ENCODERS: Mapping[str, Callable[[Reel, Sequence[int], Path, int, Label], None]] = {
    ".gif": write_gif,
    ".webp": write_webp,
    ".mp4": write_mp4,
}

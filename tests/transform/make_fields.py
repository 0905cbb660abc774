"""Writes images with Pillow and arrays with NumPy into the folder of argv[1], and beside each, as
NAME.expected, what these libraries read from it again: height, width, channels (or the shape) in its first
line, then bytes. NAME.refused stands beside what is not taken, with a part of the message in it."""
import os
import sys

import numpy as np
from PIL import Image

root = sys.argv[1]
random = np.random.default_rng(7)


def put(name, data):
    with open(os.path.join(root, name), "wb") as out:
        out.write(data)


def expect(name, array):
    shape = " ".join(str(size) for size in array.shape)
    put(name + ".expected", f"{shape}\n".encode() + np.ascontiguousarray(array).tobytes())


def smooth(height, width, channels):
    y, x = np.mgrid[0:height, 0:width]
    planes = [(np.sin(x / (5 + c)) + np.cos(y / (7 - c))) * 60 + 128 for c in range(channels)]
    noise = random.integers(-8, 8, (height, width, channels))
    return np.clip(np.stack(planes, -1) + noise, 0, 255).astype(np.uint8)


def image(name, picture, refused=None, **options):
    path = os.path.join(root, name)
    picture.save(path, **options)
    if refused:
        put(name + ".refused", refused.encode())
        return
    back = Image.open(path)
    grey = back.mode in ("L", "1", "LA")
    # What is transparent keeps its colour: alpha is dropped, as Pillow's convert does.
    array = np.asarray(back.convert("L" if grey else "RGB"))
    expect(name, array.reshape(*array.shape[:2], -1))


rgb = Image.fromarray(smooth(45, 61, 3))
grey = Image.fromarray(smooth(45, 61, 1)[..., 0])
alpha = Image.fromarray(smooth(45, 61, 4), "RGBA")
image("rgb.png", rgb)
image("grey.png", grey)
image("rgba.png", alpha)
image("grey-alpha.png", alpha.convert("LA"))
image("palette.png", rgb.quantize(50))
image("palette4.png", rgb.quantize(11))
image("one-bit.png", grey.convert("1"))
image("gamma.png", rgb, gamma=1.0)
image("fast.png", rgb, compress_level=0)
image("sixteen.png", Image.fromarray(np.full((4, 4), 3000, np.uint16)), refused="16 bits a channel")
image("rgb.jpg", rgb, quality=90)
image("grey.jpg", grey, quality=90)
image("progressive.jpg", rgb, quality=80, progressive=True)
image("restart.jpg", rgb, quality=80, subsampling=0)
image("cmyk.jpg", Image.fromarray(smooth(45, 61, 4), "CMYK"), quality=95)

types = ["u1", "i1", "<u2", "<i2", "<u4", "<i4", "<i8", "<f2", "<f4", "<f8", "?"]
for number, dtype in enumerate(types):
    for shape in [(), (5,), (3, 4, 2), (0, 3)]:
        array = (random.integers(0, 2, shape) if dtype == "?" else random.integers(0, 100, shape)).astype(dtype)
        name = f"{number}-{len(shape)}.npy"
        np.save(os.path.join(root, name), array)
        expect(name, array)
with open(os.path.join(root, "version2.npy"), "wb") as out:
    np.lib.format.write_array(out, np.arange(6, dtype="<f4").reshape(2, 3), version=(2, 0))
expect("version2.npy", np.arange(6, dtype="<f4").reshape(2, 3))
np.save(os.path.join(root, "fortran.npy"), np.asfortranarray(np.ones((2, 3))))
put("fortran.npy.refused", b"Fortran order")
np.save(os.path.join(root, "big.npy"), np.ones(3, ">f4"))
put("big.npy.refused", b"dtype")
np.save(os.path.join(root, "text.npy"), np.array(["a"]))
put("text.npy.refused", b"dtype")
np.save(os.path.join(root, "record.npy"), np.zeros(2, [("a", "<f4"), ("b", "<i4")]))
put("record.npy.refused", b".npy")

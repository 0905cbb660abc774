"""Writes the fuzzers' seeds below the folder of argv[1]: tar/, manifest/ and toml/."""
import io
import os
import struct
import sys
import tarfile

root = sys.argv[1]


def put(folder, name, data):
    os.makedirs(os.path.join(root, folder), exist_ok=True)
    with open(os.path.join(root, folder, name), "wb") as out:
        out.write(data)


def tar(kind, names, **options):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind, **options) as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            if name.endswith("/"):
                info.type = tarfile.DIRTYPE
                archive.addfile(info)
            else:
                info.size = len(name)
                archive.addfile(info, io.BytesIO(name.encode()))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "l" * 150 if kind != tarfile.USTAR_FORMAT else "l"
        archive.addfile(link)
    data = out.getvalue()
    return data[:len(data.rstrip(b"\0")) // 512 * 512 + 1536]


plain = ["a.png", "a.cls", "d/", "d/b.PNG", "d/b.seg.png", "readme", ".hidden", "c.x"]
long = ["k" * 120 + ".png", "k" * 120 + ".cls", "größe.x"]
put("tar", "ustar", tar(tarfile.USTAR_FORMAT, plain + ["p" * 90 + "/" + "n" * 80 + ".x"]))
put("tar", "gnu", tar(tarfile.GNU_FORMAT, plain + long))
put("tar", "pax", tar(tarfile.PAX_FORMAT, plain + long, pax_headers={"comment": "hi"}))
put("tar", "empty", bytes(1024))
put("tar", "twice", tar(tarfile.USTAR_FORMAT, ["a.x", "a.X"]))
big = bytearray(tar(tarfile.GNU_FORMAT, ["a.x", "b.x"]))
big[124:136] = b"\x80" + bytes(3) + struct.pack(">Q", 1 << 63)
put("tar", "base256", bytes(big))

BUCKETS = 260


def text(value):
    return struct.pack("<Q", len(value)) + value


def tables(name, header, record, shards, blocks, sizes):
    out = text(name) + struct.pack("<QQ", header, record) + struct.pack("<Q", len(shards))
    for uri, size, etag in shards:
        out += text(uri) + struct.pack("<Q", size) + text(etag)
    out += struct.pack("<Q", len(blocks))
    for block in blocks:
        out += struct.pack("<IIQQQII", *block)
    buckets = [(0, 0)] * BUCKETS
    for size, count in sizes:
        width = size.bit_length()
        below = size >> (width - 3) if width >= 3 else size << (3 - width)
        buckets[width * 4 + (below & 3)] = (count, size)
    return out + b"".join(struct.pack("<QQ", *bucket) for bucket in buckets)


put("manifest", "tar", tables(b"tar", 0, 0, [(b"file:///a.tar", 4096, b"e"), (b"b.tar", 1024, b"")],
                              [(0, 7, 0, 1024, 0, 2, 1), (0, 0, 1024, 3072, 2, 1, 0)],
                              [(512, 2), (3072, 1)]))
put("manifest", "raw", tables(b"raw", 16, 100, [(b"http://h/r", 316, b'"x"')],
                              [(0, 1, 0, 116, 0, 1, 1), (0, 2, 116, 200, 1, 2, 1)],
                              [(116, 1), (100, 2)]))
put("manifest", "head", b"\x89faro manifest\r\n" + struct.pack("<IIQ", 1, 0, 512) + bytes(480))

put("toml", "full", b'''# a comment
data = "/data/train-{000..127}.tar"
epochs = 3
seed = 0x2a
global_batch = 1_024
end = "partial"
window = "64MiB"
memory = "1.5G"
request_timeout = 1e1
checksums = false

[reading]
max_requests = 64
ca_file = \'/etc/ssl/ca.pem\'
''')
put("toml", "wrong", b'epochs = "three"\nunknown = [1, {a = 2}]\n[[t]]\nx = 1979-05-27T07:32:00Z\n')
put("toml", "odd", b'data = """\\\n  a \\u00e9"""\nwindow = "full"\n[a.b]\nseed = -1\nverify = true\n')

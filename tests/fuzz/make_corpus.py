"""Writes the fuzzers' seeds below the folder of argv[1]: tar/, manifest/, toml/, s3/, http/ and field/."""
import base64
import io
import os
import struct
import sys
import tarfile
import zlib

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

listing = b'''x<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>p/</Prefix>
<IsTruncated>true</IsTruncated><EncodingType>url</EncodingType><Contents><Key>p/a+b%2Bc</Key>
<ETag>&quot;d41d8&quot;</ETag><Size>12</Size></Contents><CommonPrefixes><Prefix>p/q/</Prefix>
</CommonPrefixes><NextContinuationToken>1/x=</NextContinuationToken></ListBucketResult>'''
put("s3", "listing", listing)
put("s3", "last", b"x<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a&#10;&amp;b</Key>"
                  b"<Size>18446744073709551615</Size></Contents></ListBucketResult>")
put("s3", "error", b"x<Error><Code>RequestTimeTooSkewed</Code><Message>m</Message><Region>r</Region>"
                   b"<ServerTime>2026-11-22T00:00:00Z</ServerTime></Error>")
put("s3", "upload", b"x<InitiateMultipartUploadResult><UploadId>2~a</UploadId>"
                    b"</InitiateMultipartUploadResult>")
put("s3", "completed", b"x<CompleteMultipartUploadResult><ETag/></CompleteMultipartUploadResult>")
put("s3", "doctype", b'x<!DOCTYPE x [<!ENTITY a "b">]><ListBucketResult><![CDATA[x]]>&a;')
put("s3", "profiles", b'''p# a comment
[default]
aws_access_key_id = A  # another
aws_secret_access_key = B
[profile "x y"]
services = s
credential_process = sh -c "a ; b"
  --more
[services s]
s3 =
  endpoint_url = https://h:1
[sso-session z]
q = 1
''')
put("s3", "url", b"uhttps://bucket.s3.eu-west-1.amazonaws.com:8443/a%20b/c?list-type=2&prefix=%2F#f")
put("s3", "ipv6", b"uHTTP://[::1]:80?a&b=c")
put("s3", "process", b'j{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "B", "SessionToken": "C",'
                     b' "Expiration": "2026-11-22T12:00:00.5+01:00"}')

put("http", "part", b"HTTP/1.1 206 Partial Content\r\nContent-Length: 100\r\nETag: \"e\"\r\n"
                    b"Content-Range: bytes 500-599/1000\r\n\r\n")
put("http", "whole", b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\nContent-Encoding: identity\r\n"
                     b"x-amz-checksum-crc32c: yZRlqg==\r\nETag: \"e\"\r\n\r\n")
put("http", "redirect", b"HTTP/1.1 307 x\r\nLocation: /y\r\nDate: Sun, 22 Nov 2026 20:00:00 GMT\r\n\r\n"
                        b"HTTP/1.1 206 x\r\nContent-Range: bytes 0-0/1000\r\n\r\n")
put("http", "empty", b"HTTP/1.1 416 x\r\nContent-Range: bytes */0\r\n\r\n")
put("http", "later", b"HTTP/1.1 503 Slow Down\r\nRetry-After: 120\r\nx-amz-bucket-region: r\r\n\r\n")
put("http", "wrong", b"HTTP/1.1 206 x\r\nContent-Range: bytes 0-18446744073709551615/*\r\n"
                     b"Content-Encoding: gzip\r\n\r\n")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


for name, depth, colour, row in (("grey", 8, 0, 9), ("bit", 1, 0, 2), ("rgb", 8, 2, 27),
                                 ("palette", 4, 3, 5), ("rgba", 8, 6, 36)):
    rows = b"".join(bytes([y % 5]) + bytes((x * y) % 7 for x in range(row)) for y in range(7))
    palette = chunk(b"PLTE", bytes(range(48))) + chunk(b"tRNS", b"\x01\x02") if colour == 3 else b""
    header = struct.pack(">IIBBBBB", 9, 7, depth, colour, 0, 0, 0)
    put("field", f"png-{name}", b"p\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette +
        chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
# Of 9 x 9 pixels, by Pillow.
JPEGS = {
    "grey": "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDACgcHiMeGSgjISMtKygwPGRBPDc3PHtYXUlkkYCZlo+AjIqgtObDoKrarYqMyP/L2u71"
        "////m8H////6/+b9//j/wAALCAAJAAkBAREA/8QAFgABAQEAAAAAAAAAAAAAAAAABAAB/8QAHBAAAgEFAQAAAAAAAAAAAAAAAAMR"
        "AQISFDNh/9oACAEBAAA/AMYx+1FJgZkz0r+wg//Z",
    "rgb": "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDACgcHiMeGSgjISMtKygwPGRBPDc3PHtYXUlkkYCZlo+AjIqgtObDoKrarYqMyP/L2u71"
        "////m8H////6/+b9//j/2wBDASstLTw1PHZBQXb4pYyl+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4"
        "+Pj4+Pj4+Pj/wAARCAAJAAkDASIAAhEBAxEB/8QAFgABAQEAAAAAAAAAAAAAAAAABAAB/8QAHBAAAgEFAQAAAAAAAAAAAAAAAAMR"
        "AQISFDNh/8QAFAEBAAAAAAAAAAAAAAAAAAAAAP/EABQRAQAAAAAAAAAAAAAAAAAAAAD/2gAMAwEAAhEDEQA/AMYx+1FJgZkz0r+w"
        "gD//2Q==",
    "cmyk": "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwAoHB4jHhkoIyEjLSsoMDxkQTw3Nzx7WF1JZJGAmZaPgIyKoLTmw6Cq2q2KjMj/y9ru9f//"
        "/5vB////+v/m/f/4/8AAFAgACQAJBEMRAE0RAFkRAEsRAP/EABcAAQEBAQAAAAAAAAAAAAAAAAAFBAH/xAAcEAEAAgEFAAAAAAAA"
        "AAAAAAAAAxEBAhIUM2H/2gAOBEMATQBZAEsAAD8AsrKy5JJPyqxdANm6T0A19wDQ/9k=",
    "progressive": "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDACgcHiMeGSgjISMtKygwPGRBPDc3PHtYXUlkkYCZlo+AjIqgtObDoKrarYqMyP/L2u71"
        "////m8H////6/+b9//j/2wBDASstLTw1PHZBQXb4pYyl+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4"
        "+Pj4+Pj4+Pj/wgARCAAJAAkDASIAAhEBAxEB/8QAFgABAQEAAAAAAAAAAAAAAAAAAwAB/8QAFAEBAAAAAAAAAAAAAAAAAAAAAP/a"
        "AAwDAQACEAMQAAABxpD/xAAYEAACAwAAAAAAAAAAAAAAAAAAARIhQf/aAAgBAQABBQJtys0//8QAFBEBAAAAAAAAAAAAAAAAAAAA"
        "AP/aAAgBAwEBPwF//8QAFBEBAAAAAAAAAAAAAAAAAAAAAP/aAAgBAgEBPwF//8QAFBABAAAAAAAAAAAAAAAAAAAAIP/aAAgBAQAG"
        "PwIf/8QAFxABAAMAAAAAAAAAAAAAAAAAAAEQEf/aAAgBAQABPyEek1//2gAMAwEAAgADAAAAEPP/xAAUEQEAAAAAAAAAAAAAAAAA"
        "AAAA/9oACAEDAQE/EH//xAAUEQEAAAAAAAAAAAAAAAAAAAAA/9oACAECAQE/EH//xAAZEAABBQAAAAAAAAAAAAAAAAARAAEQIXH/"
        "2gAIAQEAAT8QomIWk3//2Q==",
}
for name, text in JPEGS.items():
    put("field", f"jpeg-{name}", b"j" + base64.b64decode(text))
for name, header in (("one", "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }"),
                     ("two", "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 4), }"),
                     ("rows", "{'descr': '<u2', 'fortran_order': False, 'shape': (3, 2), }"),
                     ("none", "{'descr': '<i8', 'fortran_order': False, 'shape': (), }")):
    put("field", f"npy-{name}", b"n\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header.encode() + bytes(12))
put("field", "rows", b"r" + bytes(range(6)))
put("field", "label", b"l 12\n")
put("field", "tensors", b'''t[tensors]
on_bad_sample = "skip"
[[tensor]]
name = "x"
field = "png"
decode = "png"
type = "f16"
layout = "nchw"
steps = [{ op = "random_resized_crop", size = [4, 4], scale = [0.1, 1] }, { op = "horizontal_flip" },
         { op = "normalise", mean = [0.5], std = [0.2] }]
[[tensor]]
name = "y"
field = "tok"
decode = "raw"
stored = "u16"
type = "i64"
ragged = { max_length = 512, truncate = true }
''')

"""What fault_server.py does when nothing goes wrong: ranges, uploads and listings as S3 has them,
over objects in memory. An object that nobody has uploaded is data()."""
import base64
import functools
import hashlib
import threading
import urllib.parse
from xml.sax.saxutils import escape

BUCKET = "store"
SIZE = 1 << 20
ETAG = '"v1"'
CRC32C = "dCqzMQ=="  # of data(): see crc32c()

lock = threading.Lock()
objects = {}  # by key, bytes and ETag
uploads = {}  # by id, the parts by number


FIRST = bytes((i * 7 + (i >> 8) * 13) % 251 for i in range(SIZE))
SECOND = FIRST.translate(bytes(b ^ 0x55 for b in range(256)))


def data(version=1):
    return FIRST if version == 1 else SECOND


@functools.lru_cache(maxsize=4)
def crc32c(body):
    """Base64 of CRC32C (RFC 3720) in network order, as x-amz-checksum-crc32c has it."""
    if body == data():
        return CRC32C
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    crc = 0xFFFFFFFF
    for byte in body:
        crc = table[(crc ^ byte) & 255] ^ (crc >> 8)
    return base64.b64encode((crc ^ 0xFFFFFFFF).to_bytes(4, "big")).decode()


def stored(x):
    with lock:
        return objects.get(x.key) or (data(), ETAG)


def good(x, status=None, body=None, whole=None, **changes):
    """The right answer to a GET or HEAD, with changes: header_name='value', or None to leave it out.
    whole: another object than the one stored."""
    content, etag = whole or stored(x)
    first, last = x.range or (0, len(content) - 1)
    last = min(last, len(content) - 1)
    if first > last and x.range:
        return x.send(416, {"Content-Length": 0, "Content-Range": f"bytes */{len(content)}"})
    if body is None:
        body = content[first:last + 1]
    headers = {"ETag": etag, "Content-Length": len(body)}
    if x.range:
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
    headers.update({name.replace("_", "-"): value for name, value in changes.items()})
    headers = {name: value for name, value in headers.items() if value is not None}
    return x.send(status or (206 if x.range else 200), headers, body)


def xml(x, status, text, **headers):
    body = b'<?xml version="1.0" encoding="UTF-8"?>\n' + text.encode()
    x.send(status, {"Content-Type": "application/xml", "Content-Length": len(body),
                    "x-amz-request-id": "REQUEST1", **headers}, body)


def error(x, status, code, message="no", more="", **headers):
    xml(x, status, f"<Error><Code>{code}</Code><Message>{message}</Message>{more}"
                   "<RequestId>REQUEST1</RequestId><HostId>HOST1</HostId></Error>", **headers)


def get(x, whole=None):
    whole = whole or stored(x)
    if x.headers.get("if-match", whole[1]) != whole[1]:
        return error(x, 412, "PreconditionFailed")
    return good(x, whole=whole)


def put(x):
    etag = f'"{hashlib.md5(x.body).hexdigest()}"'
    with lock:
        objects[x.key] = (x.body, etag)
    x.send(200, {"ETag": etag, "Content-Length": 0})


def part(x):
    etag = f'"{hashlib.md5(x.body).hexdigest()}"'
    with lock:
        parts = uploads.get(x.query["uploadId"])
        if parts is not None:
            parts[int(x.query["partNumber"])] = x.body
    if parts is None:
        return error(x, 404, "NoSuchUpload")
    return x.send(200, {"ETag": etag, "Content-Length": 0})


def init(x):
    with lock:
        name = f"upload-{len(uploads) + 1}"
        uploads[name] = {}
    xml(x, 200, f"<InitiateMultipartUploadResult><Bucket>{BUCKET}</Bucket><Key>{escape(x.key[1:])}"
                f"</Key><UploadId>{name}</UploadId></InitiateMultipartUploadResult>")


def complete(x):
    with lock:
        parts = uploads.pop(x.query["uploadId"], None)
        if parts is not None:
            bodies = [parts[number] for number in sorted(parts)]
            digests = b"".join(hashlib.md5(body).digest() for body in bodies)
            objects[x.key] = (b"".join(bodies), f'"{hashlib.md5(digests).hexdigest()}-{len(parts)}"')
    if parts is None:
        return error(x, 404, "NoSuchUpload")
    return xml(x, 200, "<CompleteMultipartUploadResult><ETag>&quot;x&quot;</ETag>"
                       "</CompleteMultipartUploadResult>")


def abort(x):
    with lock:
        found = uploads.pop(x.query["uploadId"], None)
    if found is None:
        return error(x, 404, "NoSuchUpload")
    return x.send(204, {})


def delete(x):
    with lock:
        objects.pop(x.key, None)
    x.send(204, {})


def names(prefix):
    """What was uploaded; where nothing was, three shards in every folder, and what has a suffix."""
    with lock:
        found = sorted(key[1:] for key in objects if key[1:].startswith(prefix))
    folder = prefix[:prefix.rfind("/") + 1]
    made = [f"{folder}shard-{i:03}.bin" for i in range(3)]
    if prefix.endswith(".bin"):
        made.append(prefix)
    return found or [name for name in made if name.startswith(prefix)]


def list_page(x, size=1000, truncated="true", token=None, entries=None):
    """A page of ListObjectsV2. Its token is the number of the first key."""
    keys = names(x.query.get("prefix", "")) if entries is None else entries
    begin = int(x.query.get("continuation-token", 0) or 0)
    page = keys[begin:begin + min(size, int(x.query.get("max-keys", 1000)))]
    more = begin + len(page) < len(keys)
    encoded = x.query.get("encoding-type") == "url"
    contents = "<EncodingType>url</EncodingType>" if encoded else ""
    for name in page:
        body, etag = objects.get("/" + name) or (data(), ETAG)
        key = urllib.parse.quote(name, safe="/") if encoded else escape(name)
        contents += (f"<Contents><Key>{key}</Key><Size>{len(body)}</Size>"
                     f"<ETag>{escape(etag)}</ETag></Contents>")
    token = token if token is not None else str(begin + len(page))
    end = f"<NextContinuationToken>{token}</NextContinuationToken>" if more and token else ""
    xml(x, 200, f"<ListBucketResult><Name>{BUCKET}</Name><IsTruncated>{truncated if more else 'false'}"
                f"</IsTruncated>{end}{contents}</ListBucketResult>")


ANSWERS = {"get": get, "head": get, "put": put, "part": part, "init": init, "complete": complete,
           "abort": abort, "delete": delete, "list": list_page}


def well(x):
    ANSWERS[x.kind](x)

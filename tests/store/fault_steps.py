"""What can go wrong at fault_server.py: STEPS, each a function of the exchange and its argument."""
import email.utils
import socket
import time
import zlib

from fault_store import (ETAG, SIZE, crc32c, data, error, get, good, list_page, stored, well,
                         xml)

# The region that steps "region301" and "region400" say the bucket is in.
REGION = "xx-test-2"

# Codes of S3's errors, their status, and what S3 says beside it. SignatureDoesNotMatch repeats what
# was signed, which no message of ours may repeat.
CODES = {
    "AccessDenied": (403, "Access Denied"),
    "ExpiredToken": (400, "The provided token has expired."),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "InvalidAccessKeyId": (403, "The AWS Access Key Id you provided does not exist in our records."),
    "InvalidToken": (400, "The provided token is malformed or otherwise invalid."),
    "NoSuchBucket": (404, "The specified bucket does not exist"),
    "NoSuchKey": (404, "The specified key does not exist."),
    "NoSuchUpload": (404, "The specified upload does not exist."),
    "RequestTimeTooSkewed": (403, "The difference between the request time and the current time is "
                                  "too large."),
    "RequestTimeout": (400, "Your socket connection to the server was not read from or written to."),
    "ServiceUnavailable": (503, "Please reduce your request rate."),
    "SignatureDoesNotMatch": (403, "The request signature we calculated does not match."),
    "SlowDown": (503, "Please reduce your request rate."),
    "TooManyRequests": (429, "Please reduce your request rate."),
}


def status(x, code, body=b"<html>no</html>", **headers):
    x.send(code, {"Content-Length": len(body),
                  **{name.replace("_", "-"): value for name, value in headers.items()}}, body)


def code(x, argument):
    """An S3 error by its code."""
    number, message = CODES[argument]
    authorization = x.headers.get("authorization", "Credential=none/, Signature=none")
    more, headers = "", {}
    if argument == "RequestTimeTooSkewed":
        ahead = time.time() + 7200
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ahead))
        more = (f"<RequestTime>{x.headers.get('x-amz-date', '')}</RequestTime>"
                f"<ServerTime>{now}</ServerTime>")
        headers["Date"] = email.utils.formatdate(ahead, usegmt=True)
    if argument in ("SignatureDoesNotMatch", "InvalidAccessKeyId", "ExpiredToken"):
        more = (f"<AWSAccessKeyId>{authorization.split('Credential=')[-1].split('/')[0]}"
                f"</AWSAccessKeyId><Token-0>{x.headers.get('x-amz-security-token', '')}</Token-0>"
                f"<SignatureProvided>{authorization.split('Signature=')[-1]}</SignatureProvided>")
    error(x, number, argument, message, more, **headers)


# ---- bodies that are not what the head says -------------------------------------------------------

def span(x):
    """First and last byte that are asked for."""
    return x.range or (0, len(stored(x)[0]) - 1)


def length(x):
    return span(x)[1] - span(x)[0] + 1


def wanted(x):
    return stored(x)[0][span(x)[0]:span(x)[1] + 1]


def begin(x, sent):
    """A right head and the first bytes of the body."""
    good(x, body=wanted(x)[:sent], Content_Length=length(x))


def half(x, argument):
    return int(argument) if argument else length(x) // 2


def cut(x, argument):
    begin(x, half(x, argument))
    x.close()


def cut_weak(x, argument):
    good(x, body=wanted(x)[:half(x, argument)], Content_Length=length(x), ETag='W/"v1"')
    x.close()


def rst(x, argument):
    begin(x, half(x, argument))
    x.reset()


def chunked(x, extra):
    body = wanted(x) + b"x" * extra
    body = body[:len(body) + min(extra, 0)]
    middle = len(body) // 2
    parts = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (body[:middle], body[middle:]))
    good(x, body=parts + b"0\r\n\r\n", Content_Length=None, Transfer_Encoding="chunked")


def open_end(x, held):
    """All of the body in a chunk, but no last chunk."""
    body = wanted(x)
    good(x, body=b"%x\r\n%b\r\n" % (len(body), body), Content_Length=None,
         Transfer_Encoding="chunked")
    x.hold() if held else x.close()


def stalled_error(x, number):
    """An error whose page stalls after some bytes."""
    x.send(number, {"Content-Length": 1000}, b"e" * 100)
    x.hold()


def flip(x, argument):
    """One bit of the object's byte, and nothing else tells."""
    body, at = bytearray(data()), int(argument)
    body[at] ^= 0x10
    get(x, (bytes(body), ETAG))


def changed_after(x, argument):
    """Another object of the same size once that many requests of it were made."""
    get(x, (data(1), ETAG) if x.total < int(argument) else (data(2), '"v2"'))


def checksum(x, right):
    body = stored(x)[0]
    good(x, x_amz_checksum_crc32c=crc32c(body) if right else "AAAAAA==",
         x_amz_checksum_type="FULL_OBJECT")


# ---- time -----------------------------------------------------------------------------------------

def stall_head(x, _):
    x.write(b"HTTP/1.1 206 X\r\nContent-Len")
    x.hold()


def stall_body(x, argument):
    begin(x, int(argument or 1000))
    x.hold()


def slow_head(x, argument):
    time.sleep(float(argument))
    well(x)


def slow(x, argument):
    """That many bytes a second, in ten pieces a second."""
    body = wanted(x)
    good(x, body=b"", Content_Length=len(body))
    if x.method == "GET":
        step = max(1, int(argument) // 10)
        for at in range(0, len(body), step):
            x.write(body[at:at + step])
            time.sleep(0.1)


def some_slow(x, argument):
    """One in that many takes 2 s to its first byte."""
    if x.total % int(argument) == int(argument) - 1:
        time.sleep(2)
    well(x)


def random_503(x, argument):
    """That many in a hundred, by what is asked and how often."""
    draw = zlib.crc32(f"{x.key} {x.range} {x.nth}".encode()) % 100
    code(x, "SlowDown") if draw < int(argument) else well(x)


# ---- elsewhere ------------------------------------------------------------------------------------

def redirect(x, number, scheme="http", host="127.0.0.1", port="http", spec="ok"):
    """To the same name under another SPEC."""
    name = x.path.replace(x.key, f"/{spec}/" + x.key.split("/", 2)[2])
    status(x, number, b"", Location=f"{scheme}://{host}:{x.ports[port]}{name}")


def region(x, number):
    """Well where the signature is for REGION; else says so, as S3 does: a HEAD has the header alone."""
    if f"/{REGION}/s3/aws4_request" in x.headers.get("authorization", ""):
        return well(x)
    answer = "PermanentRedirect" if number == 301 else "AuthorizationHeaderMalformed"
    headers = {"x-amz-bucket-region": REGION} if number == 301 or x.method == "HEAD" else {}
    return error(x, number, answer, f"the region is wrong; expecting '{REGION}'",
                 f"<Region>{REGION}</Region>", **headers)


# ---- XML ------------------------------------------------------------------------------------------

def no_page_end(x, token):
    list_page(x, size=1, token=token)


def no_keys_ever(x, _):
    """Pages without a key, each with another token."""
    token = int(x.query.get("continuation-token", 0)) + 1
    xml(x, 200, f"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>{token}"
                "</NextContinuationToken></ListBucketResult>")


def listing(x, *keys):
    """Of these keys, after the prefix or, with a slash, as they are; twice is once a page."""
    prefix = x.query.get("prefix", "")
    names = [key[1:] if key[0] == "/" else prefix + key for key in keys]
    list_page(x, size=1, entries=names)


def late_error(x, _):
    """200, and then an error after all, as CompleteMultipartUpload may end."""
    error(x, 200, "InternalError", CODES["InternalError"][1])


def lost(x, _):
    """Does what it is asked, and its answer does not come through."""
    x.write = lambda data: None
    well(x)
    x.close()


def text_of(body):
    """As an error, or as what was asked for where that is XML."""
    return lambda x, _: xml(x, 200 if x.kind in ("list", "init", "complete") else 403, body)


NASTY = "<Error><Code>Access&#10;Denied</Code><Message>one\ntwo\r\n&#27;[31mred&#0;</Message></Error>"
ENTITIES = ('<!DOCTYPE e [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
            '<!ENTITY c SYSTEM "file:///etc/passwd">]><Error><Code>&b;</Code><Message>&c;</Message>'
            "</Error>")


def garbage(x, _):
    x.write(b"\x00\xffnot HTTP\r\n\r\n")
    x.close()


# ---- heads ----------------------------------------------------------------------------------------

def raw(x, change):
    """The right answer as bytes, after a change."""
    write, parts = x.write, []
    x.write = parts.append
    good(x)
    x.write = write
    write(change(b"".join(parts)))


def interim(answer):
    return (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\n\r\n" +
            answer)


def trickled_head(x, _):
    """Byte by byte."""
    x.connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw(x, lambda answer: [x.write(answer[i:i + 1]) for i in range(200)] and answer[200:])


def with_line(line):
    return of(raw, lambda answer: answer.replace(b"\r\n", b"\r\n" + line + b"\r\n", 1))


def empty(x, _):
    """An object of no bytes at a server that knows no HEAD."""
    status(x, 405) if x.method == "HEAD" else x.send(
        416, {"Content-Length": 0, "Content-Range": "bytes */0"})


def of(function, *arguments, **named):
    """A step of a function that takes no argument of its own."""
    return lambda x, _: function(x, *arguments, **named)


STEPS = {
    "ok": of(well),
    # Refusals; "s503" and the like, with "=empty" for no body, are made by find().
    "code": code,
    "retry_after": lambda x, argument: status(x, 503, Retry_After=argument),
    "s416": lambda x, _: status(x, 416, Content_Range=f"bytes */{SIZE}"),
    "stalled_error": lambda x, argument: stalled_error(x, int(argument)),
    "big_error": of(status, 500, b"e" * SIZE),
    "random_503": random_503,
    # The connection.
    "reset": of(lambda x: x.close()),
    "rst": rst,
    "cut": cut,
    "cut_weak": cut_weak,
    "garbage": garbage,
    "interim": of(raw, interim),
    "interim_ever": of(raw, lambda answer: b"HTTP/1.1 100 Continue\r\n\r\n" * 40_000),
    "trickled_head": trickled_head,
    "long_head": with_line(b"X: " + b"x" * 400_000),
    "nul_head": with_line(b"X: \0"),
    "two_lengths": with_line(b"Content-Length: 7"),
    "two_heads": with_line(b"HTTP/1.1 206 Again"),
    "http2": of(raw, lambda answer: b"HTTP/2 206\r\n\r\n"),
    "excess": of(raw, lambda answer: answer + b"HTTP/1.1 206 X\r\nContent-Length: 1000000\r\n\r\n"),
    # The body against the head.
    "longer": lambda x, _: good(x, body=data()[:length(x) + 100]),
    "longer_chunked": of(chunked, 100),
    "exact_chunked": of(chunked, 0),
    "open_end": of(open_end, False),
    "held_end": of(open_end, True),
    "shorter_chunked": of(chunked, -10),
    "shorter": lambda x, _: good(x, body=data()[:length(x) - 10]),
    "wrong_range": lambda x, _: good(x, Content_Range=f"bytes 7-{length(x) + 6}/{SIZE}"),
    "no_range": of(good, Content_Range=None),
    "bad_range": of(good, Content_Range="bytes 9999999999999999999999-1/x"),
    "wrong_total": lambda x, _: good(x, Content_Range="bytes {}-{}/{}".format(*span(x), SIZE + 1)),
    "star_total": lambda x, _: good(x, Content_Range="bytes {}-{}/*".format(*span(x))),
    "whole": lambda x, _: good(x, 200, body=data(), Content_Range=None),
    "gzip": of(good, Content_Encoding="gzip"),
    "mute": of(good, Content_Length=None),
    "empty": empty,
    # Another object.
    "other_etag": of(good, ETag='"v2"'),
    "no_etag": of(good, ETag=None),
    "weak": lambda x, _: status(x, 412) if "if-match" in x.headers else good(x, ETag='W/"v1"'),
    "flip": flip,
    "changed_after": changed_after,
    "crc_right": of(checksum, True),
    "crc_wrong": of(checksum, False),
    "crc_of_part": lambda x, _: good(x, x_amz_checksum_crc32c=crc32c(wanted(x))),
    # Time.
    "stall": of(lambda x: x.hold()),
    "stall_head": stall_head,
    "stall_body": stall_body,
    "slow_head": slow_head,
    "slow": slow,
    "some_slow": some_slow,
    # Elsewhere.
    "redirect": of(redirect, 302),
    "s307": of(redirect, 307),
    "slow_s307": lambda x, argument: (time.sleep(float(argument)), redirect(x, 307)),
    "other_host": of(redirect, 307, host="127.0.0.2", port="other"),
    "other_port": of(redirect, 307, scheme="https", port="https"),
    "to_http": of(redirect, 307),
    "to_s503": of(redirect, 307, spec="s503"),
    "loop": of(redirect, 307, spec="loop"),
    "to_file": lambda x, _: status(x, 302, Location="file:///etc/passwd"),
    "nowhere": of(status, 307),
    "region301": of(region, 301),
    "region400": of(region, 400),
    # XML.
    "bad_xml": text_of("<Error><Code>Acc"),
    "no_xml": text_of("this is no XML"),
    "huge_xml": text_of("<Error><Code>AccessDenied</Code><Message>" + "m" * SIZE +
                        "</Message></Error>"),
    "nasty_xml": text_of(NASTY),
    "entities": text_of(ENTITIES),
    "pages": lambda x, argument: list_page(x, size=int(argument)),
    "no_token": of(no_page_end, ""),
    "same_token": of(no_page_end, "0"),
    "no_keys_ever": no_keys_ever,
    "keys_twice": of(listing, "a.bin", "b.bin", "a.bin"),
    "keys_outside": of(listing, "a.bin", "/elsewhere/b.bin"),
    "keys_below": of(listing, "a.bin", "below/b.bin"),
    "late_error": late_error,
    "lost": lost,
    "no_answer": lambda x, _: x.send(200, {"Content-Length": 0}),
}


def find(name):
    if name not in STEPS and name[:1] == "s" and name[1:].isdigit():
        number = int(name[1:])
        return lambda x, argument: status(x, number, b"" if argument else b"<html>no</html>")
    return STEPS[name]

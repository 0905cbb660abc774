"""A signed S3 request in a few lines, from AWS's description of Signature Version 4: what the tests
put into a store, and look for there, owes nothing to the product's own signer."""
import datetime
import hashlib
import hmac
import http.client
import ssl
import urllib.parse


class S3:
    """An endpoint and who asks it. One connection per request: these are few."""

    def __init__(self, endpoint, key, secret, region="us-east-1", ca=None):
        self.endpoint, self.key, self.secret, self.region = endpoint, key, secret, region
        self.ca = ca

    def request(self, method, path, query=(), body=b"", headers=()):
        """path: /bucket/key, not encoded. Answers status, headers and body."""
        url = urllib.parse.urlsplit(self.endpoint)
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        path = urllib.parse.quote(path, safe="/~")
        query = urllib.parse.urlencode(sorted(query), quote_via=urllib.parse.quote, safe="~")
        digest = hashlib.sha256(body).hexdigest()
        headers = {**{name.lower(): value for name, value in dict(headers).items()},
                   "host": url.netloc, "x-amz-date": now, "x-amz-content-sha256": digest}
        names = ";".join(sorted(headers))
        canonical = "\n".join([method, path, query, *(f"{n}:{headers[n]}" for n in sorted(headers)),
                               "", names, digest])
        scope = f"{now[:8]}/{self.region}/s3/aws4_request"
        key = ("AWS4" + self.secret).encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.key}/{scope}, SignedHeaders={names}, "
            f"Signature={hmac.new(key, text.encode(), 'sha256').hexdigest()}")
        if url.scheme == "https":
            link = http.client.HTTPSConnection(
                url.netloc, timeout=30, context=ssl.create_default_context(cafile=self.ca))
        else:
            link = http.client.HTTPConnection(url.netloc, timeout=30)
        try:
            link.request(method, path + ("?" + query if query else ""), body, headers)
            answer = link.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            link.close()

    def must(self, method, path, *more, **options):
        status, headers, body = self.request(method, path, *more, **options)
        if status >= 300:
            raise RuntimeError(f"{method} {path}: HTTP {status}: {body[:500]!r}")
        return headers, body

    def bucket(self, name):
        """Makes it, if it is not there."""
        self.must("PUT", f"/{name}")

    def put(self, path, body):
        """path: bucket/key."""
        self.must("PUT", "/" + path, body=body)

    def get(self, path):
        return self.must("GET", "/" + path)[1]

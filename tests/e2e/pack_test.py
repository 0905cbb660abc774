"""From IDX files to batches: pack, index, run; labels and pixels as Python reads them."""
import gzip
import os
import struct
import tarfile
import unittest
import zlib

from support import Test, by_epoch, samples_of_tars

COUNT, ROWS, COLUMNS = 530, 28, 28


def grey_pixels(png):
    """The pixels of an 8-bit grey PNG whose rows are not interlaced."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, data, header = 8, b"", None
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at:at + 8])
        body = png[at + 8:at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length:at + 12 + length])[0] == zlib.crc32(kind + body)
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", body)
        if kind == b"IDAT":
            data += body
        at += 12 + length
    width, height, depth, colour, _, _, interlace = header
    assert (depth, colour, interlace) == (8, 0, 0)
    raw, previous, rows = zlib.decompress(data), bytes(width), []
    for y in range(height):
        kind, line = raw[y * (width + 1)], bytearray(raw[y * (width + 1) + 1:(y + 1) * (width + 1)])
        for x in range(width):
            left, up = line[x - 1] if x else 0, previous[x]
            corner = previous[x - 1] if x else 0
            guess = left + up - corner
            paeth = min((left, up, corner), key=lambda v: abs(guess - v))
            line[x] = (line[x] + (0, left, up, (left + up) // 2, paeth)[kind]) & 255
        rows.append(bytes(line))
        previous = bytes(line)
    return b"".join(rows)


class Pack(Test):
    def setUp(self):
        super().setUp()
        # Smooth, as pictures are, and noisy, so that the PNG filters have something to choose.
        self.images = [bytes((i * 3 + x * y + (x * 7 if i % 2 else os.urandom(1)[0])) & 255
                             for y in range(ROWS) for x in range(COLUMNS)) for i in range(COUNT)]
        self.labels = bytes(i * 7 % 10 for i in range(COUNT))
        os.mkdir(self.path("idx"))
        for split, opener in (("train", gzip.open), ("t10k", open)):
            end = ".gz" if split == "train" else ""
            with opener(self.path("idx", f"{split}-images-idx3-ubyte{end}"), "wb") as file:
                file.write(struct.pack(">IIII", 0x803, COUNT, ROWS, COLUMNS) + b"".join(self.images))
            with opener(self.path("idx", f"{split}-labels-idx1-ubyte{end}"), "wb") as file:
                file.write(struct.pack(">II", 0x801, COUNT) + self.labels)

    def shards(self, folder):
        return sorted(os.path.join(folder, name) for name in os.listdir(folder))

    def test_pack_index_run(self):
        shards = self.path("shards")
        self.faro("pack", "idx", shards, "--samples-per-shard", 100, ranks=3)
        files = self.shards(shards)
        self.assertEqual(len(files), 6)
        pairs = []
        for file in files:
            with tarfile.open(file) as tar:
                members = [(m.name.split(".", 1), tar.extractfile(m).read()) for m in tar]
            self.assertEqual([name[1] for name, _ in members], ["png", "cls"] * (len(members) // 2))
            pairs += [(members[i][1], members[i + 1][1]) for i in range(0, len(members), 2)]
        self.assertEqual([int(cls) for _, cls in pairs], list(self.labels))
        self.assertEqual([grey_pixels(png) for png, _ in pairs], self.images)

        samples = samples_of_tars(files)
        self.faro("index", shards)
        rows, report = self.run_order(shards, "--epochs", 2, "--global-batch", 64, "--end", "pad",
                                      "--window", "100K", "--verify")
        self.assertTrue(report["verified"])
        for epoch in by_epoch(rows).values():
            self.assertEqual(sorted(row.sample for row in epoch if not row.pad), list(range(COUNT)))
            for row in epoch:
                self.assertEqual((row.key, row.bytes, row.crc32c), samples[row.sample])

    def test_ranks_do_not_matter(self):
        """Byte for byte the same shards; the split that is not compressed as well."""
        for ranks in (None, 4):
            self.faro("pack", "idx", self.path(f"by-{ranks}"), "--split", "t10k",
                      "--samples-per-shard", 64, ranks=ranks)
        alone, many = self.shards(self.path("by-None")), self.shards(self.path("by-4"))
        self.assertEqual(list(map(os.path.basename, alone)), list(map(os.path.basename, many)))
        self.assertEqual(len(alone), 9)
        for one, other in zip(alone, many):
            with open(one, "rb") as a, open(other, "rb") as b:
                self.assertEqual(a.read(), b.read())

    def test_one_toml_serves_every_command(self):
        with open(self.path("all.toml"), "w", encoding="utf-8") as file:
            file.write('input = "idx"\noutput = "packed"\nsplit = "t10k"\nsamples_per_shard = 64\n'
                       'data = "packed"\nmanifest = "packed.h5"\nglobal_batch = 32\nend = "pad"\n'
                       'verify = true\nreport = "report.json"\n')
        for command in ("pack", "index", "plan", "run", "verify"):
            self.faro(command, "--config", "all.toml", ranks=2)
        self.assertEqual(len(self.shards(self.path("packed"))), 9)
        self.assertTrue(os.path.exists(self.path("packed.h5")))

    def test_bad_input(self):
        self.fails("pack", self.path("none"), self.path("out"), says=["(not_found", self.path("none")])
        self.fails("pack", "idx", self.path("out"), "--source", "jpeg", says=["jpeg", "idx"])
        name = self.path("idx", "t10k-labels-idx1-ubyte")
        os.truncate(name, 100)
        self.fails("pack", "idx", self.path("out"), "--split", "t10k", says=["(format", os.path.basename(name)])
        self.assertFalse(os.path.exists(self.path("out")) and os.listdir(self.path("out")))
        self.faro("pack", "idx", self.path("out"), ranks=2)
        self.fails("pack", "idx", self.path("out"), says=["--force"], ranks=2)
        self.faro("pack", "idx", self.path("out"), "--force", ranks=2)


if __name__ == "__main__":
    unittest.main(verbosity=2)

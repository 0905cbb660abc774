"""The training job: the same losses on any number of ranks, and a net that has learnt."""
import json
import os
import random
import re
import struct
import unittest

from support import FARO, Job, Test

FARO_TRAIN = os.environ.get("FARO_TRAIN") or os.path.join(os.path.dirname(FARO), "faro_train")
COUNT, TESTS, SIDE = 1500, 333, 28


def write_idx(folder, split, images, labels):
    with open(os.path.join(folder, f"{split}-images-idx3-ubyte"), "wb") as file:
        file.write(struct.pack(">IIII", 0x803, len(images), SIDE, SIDE) + b"".join(images))
    with open(os.path.join(folder, f"{split}-labels-idx1-ubyte"), "wb") as file:
        file.write(struct.pack(">II", 0x801, len(labels)) + bytes(labels))


class Train(Test):
    """Ten classes of noisy images: each has blobs of its own."""

    def setUp(self):
        super().setUp()
        rng = random.Random(1)
        blobs = [rng.sample(range(SIDE * SIDE), 80) for _ in range(10)]

        def draw(count):
            labels = [rng.randrange(10) for _ in range(count)]
            images = []
            for label in labels:
                image = bytearray(byte >> 1 for byte in rng.randbytes(SIDE * SIDE))
                for at in blobs[label]:
                    image[at] += 100
                images.append(bytes(image))
            return images, labels

        os.mkdir(self.path("idx"))
        write_idx(self.path("idx"), "train", *draw(COUNT))
        write_idx(self.path("idx"), "t10k", *draw(TESTS))
        self.faro("pack", "idx", "train", "--split", "train", "--samples-per-shard", 100)
        self.faro("pack", "idx", "test", "--split", "t10k", "--samples-per-shard", 100)

    def launch(self, *arguments, ranks):
        job = Job(["setpriv", "--pdeathsig", "TERM", "--", "mpirun", "-n", str(ranks), FARO_TRAIN,
                   *map(str, arguments)], self.dir)
        return job.wait(120)

    def train(self, *arguments, ranks=4):
        """The steps' losses and the epochs' accuracies."""
        result = self.launch(*arguments, "--log", "log", ranks=ranks)
        self.assertEqual(result.code, 0, str(result))
        with open(self.path("log"), encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        self.assertEqual(len(lines[0]["placement"]), ranks)
        return ([line["loss"] for line in lines if "loss" in line],
                [line["accuracy"] for line in lines if "accuracy" in line], result)

    def test_losses_do_not_depend_on_the_ranks(self):
        # The last global batch of an epoch of 1,500 has 28 samples and 36 pads.
        options = ("train", "--test", "test", "--epochs", 3, "--global-batch", 64, "--lr", 0.02)
        losses, accuracies, result = self.train(*options, ranks=1)
        self.assertEqual(len(losses), 3 * 24, str(result))
        self.assertGreater(accuracies[0], 0.8, str(result))
        self.assertIn(f"of {TESTS} images", result.out)
        for ranks in (2, 3, 4):
            others, theirs, result = self.train(*options, ranks=ranks)
            for step, (one, many) in enumerate(zip(losses, others, strict=True)):
                self.assertLess(abs(one - many), 1e-4 * one, f"{ranks} ranks, step {step}: {result}")
            for one, many in zip(accuracies, theirs, strict=True):
                # A sample or two may lie between two classes, to the last bit.
                self.assertLessEqual(abs(one - many) * TESTS, 2.01, str(result))

    def test_the_other_shuffle_and_the_trace(self):
        losses, accuracies, _ = self.train("train", "--test", "test", "--shuffle", "memory", "--lr",
                                           0.02, "--global-batch", 64, ranks=2)
        self.assertEqual(len(losses), 24)
        self.assertGreater(accuracies[0], 0.8)
        # Runs are equal to the last bit.
        first = self.train("train", "--max-steps", 5, "--trace", "trace", ranks=3)[0]
        self.assertEqual(first, self.train("train", "--max-steps", 5, ranks=3)[0])
        for rank in range(3):
            with open(self.path(f"trace.{rank}.json"), encoding="utf-8") as file:
                events = json.load(file)["traceEvents"]
            begun = [event["name"] for event in events if event["ph"] == "B"]
            self.assertEqual(begun.count("bucket 0"), 5)
            self.assertEqual(begun.count("wait"), 5)

    def test_devices(self):
        options = ("train", "--test", "test", "--max-steps", 20, "--device")
        host, right, _ = self.train(*options, "host", ranks=2)
        losses, accuracies, result = self.train(*options, "auto", ranks=2)
        where = re.search(r"tensors(?: of ranks? [^:]+)?: (host|cuda)", result.out)
        self.assertTrue(where, str(result))
        if where[1] == "host":  # which has said why
            self.assertRegex(result.out, r"tensors: host \(.+\)\ngradients: ")
            self.assertEqual((losses, accuracies), (host, right))
            refused = self.launch(*options, "cuda", ranks=2)
            self.assertNotEqual(refused.code, 0, str(refused))
            self.assertEqual(refused.err.count("faro_train: error (device, rank 0)"), 1, str(refused))
            self.assertIn("device = cuda: rank 0 has no GPU", refused.err)
            return
        for step, (one, other) in enumerate(zip(host, losses, strict=True)):
            self.assertLess(abs(one - other), 1e-3 * one, f"step {step}: {result}")
        self.assertLessEqual(abs(right[0] - accuracies[0]) * TESTS, 2.01, str(result))

    def test_what_cannot_be_trained_on(self):
        os.mkdir(self.path("words"))
        with open(self.path("words", "a.tar"), "wb") as file:
            file.write(bytes(10240))
        result = self.launch("words", ranks=2)
        self.assertNotEqual(result.code, 0, str(result))
        self.assertIn("faro_train: error", result.err)


if __name__ == "__main__":
    unittest.main()

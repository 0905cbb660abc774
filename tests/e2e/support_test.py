"""The harness sees what it has to see: a hang, a process left, a file left in /dev/shm."""
import contextlib
import os
import time
import unittest
import uuid

from support import Job, Test, tagged


class Support(Test):
    def test_hang(self):
        job = Job(["sh", "-c", "sleep 60 & sleep 60"], self.dir)
        with self.assertRaisesRegex(AssertionError, "no end within 0.5 s"):
            job.wait(0.5)
        time.sleep(0.2)
        self.assertEqual(tagged(job.tag), [])

    def test_process_left(self):
        with self.assertRaisesRegex(AssertionError, r"left: processes \[\d+"):
            Job(["sh", "-c", "setsid sh -c 'touch runs; sleep 60; true' & "
                 "until [ -e runs ]; do sleep 0.02; done"], self.dir).wait()

    def test_file_left(self):
        name = f"faro-e2e-{uuid.uuid4().hex}"
        try:
            with self.assertRaisesRegex(AssertionError, f"in /dev/shm.*{name}"):
                Job(["touch", f"/dev/shm/{name}"], self.dir).wait()
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.remove(f"/dev/shm/{name}")

    def test_failure_of_one_rank_alone(self):
        """Ranks that differ in how they end are not a failure on all."""
        job = self.start_failing("run", self.dir, ranks=2)
        job.process.wait()
        with open(os.path.join(job.codes, "1"), "w", encoding="utf-8") as file:
            file.write("0")
        with self.assertRaisesRegex(AssertionError, "{.*1: 0.*}"):
            self.failed(job)


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""A test whose mpirun runs over three hosts: namespaces of this machine, see tests/support/hosts.py."""
import os
import sys
import unittest

from support import ROOT, Test

sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
import hosts  # noqa: E402


class OnHosts(Test):
    """start() and all that uses it run two ranks on each host, unless told ranks=None. After each
    test nothing is in the hosts' /dev/shm, and all links are up."""

    @classmethod
    def setUpClass(cls):
        why = hosts.why_not()
        if why:
            raise unittest.SkipTest(why)
        cls.hosts = hosts.Hosts()
        cls.addClassCleanup(cls.hosts.close)

    def tearDown(self):
        super().tearDown()
        self.assertEqual([host.shm() for host in self.hosts.all], [[], [], []])

    def start(self, *arguments, ranks=6, environment=None, **options):
        if ranks is None:
            return super().start(*arguments, ranks=None, environment=environment, **options)
        launch = self.hosts.launch()
        return super().start(*arguments, ranks=ranks, before=launch["before"],
                             environment={**launch["environment"], **(environment or {})}, **options)

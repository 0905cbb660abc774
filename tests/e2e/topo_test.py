"""`faro topo`, and what a run does of it."""
import importlib.util
import os
import unittest

from support import ROOT, Test, read_json, write_shards

SPEC = importlib.util.spec_from_file_location(
    "machines", os.path.join(ROOT, "tests", "topology", "machines.py"))
machines = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(machines)


class Topo(Test):
    def setUp(self):
        super().setUp()
        machines.write(self.path("machines"))

    def machine(self, name):
        return self.path("machines", name + ".xml")

    def topo(self, *arguments, **options):
        """What it says, and what it writes as JSON."""
        result = self.faro("topo", *arguments, "--report", self.path("topo.json"), **options)
        return result.out, read_json(self.path("topo.json"))

    def test_this_machine(self):
        out, json = self.topo(ranks=2)
        self.assertEqual(len(json["nodes"]), 1)
        node = json["nodes"][0]
        self.assertEqual([rank["rank"] for rank in node["ranks"]], [0, 1])
        self.assertGreater(node["cores"], 0)
        self.assertGreater(sum(numa["bytes"] for numa in node["numa"]), 1 << 28)
        for words in ("MPI: ", "huge pages", "CUDA", "rank  cpus", "not bound by the launcher",
                      "ranks 0-1: tensors: ", "GPU by MPI "):
            self.assertIn(words, out)
        for rank in node["ranks"]:
            self.assertRegex(rank["device"], r"^(host \(.+\)|cuda \d+: .+)$")
            self.assertTrue(rank["path"])
            self.assertEqual(rank["cpus"], node["cpus"])
            if node["cores"] < 6:
                self.assertEqual((rank["fetch_cpus"], rank["exchange_cpus"]), ("", ""))
                self.assertIn("threads are not bound", " ".join(rank["notes"]))
            else:
                self.assertNotEqual(rank["fetch_cpus"], rank["exchange_cpus"])

    def test_what_the_launcher_has_bound_is_honoured(self):
        first = str(min(os.sched_getaffinity(0)))
        _, json = self.topo(ranks=2, before=("taskset", "-c", first))
        for rank in json["nodes"][0]["ranks"]:
            self.assertEqual(rank["cpus"], first)
            self.assertEqual(rank["fetch_cpus"], "")
            self.assertIn("1 core for 2 ranks", " ".join(rank["notes"]))

    def test_a_machine_given_as_xml(self):
        out, json = self.topo("--xml", self.machine("dgx"), "--ranks", 8, "--bound", "numa",
                              ranks=None)
        ranks = json["nodes"][0]["ranks"]
        self.assertEqual([rank["numa"] for rank in ranks], [0, 1] * 4)
        self.assertEqual(len({rank["gpu"] for rank in ranks}), 8)
        self.assertEqual(len({rank["nic"] for rank in ranks}), 8)
        self.assertEqual(len({rank["fetch_cpus"] for rank in ranks}), 8)
        self.assertIn("ranks 0,2,4,6: bound by the launcher to NUMA node 0", out)
        _, json = self.topo("--xml", self.machine("dgx"), "--bind", "none", ranks=3)
        self.assertEqual([rank["fetch_cpus"] for rank in json["nodes"][0]["ranks"]], [""] * 3)

    def test_gpus_that_are_hidden(self):
        _, json = self.topo(ranks=2, environment={"HWLOC_XMLFILE": self.machine("dgx"),
                                                  "CUDA_VISIBLE_DEVICES": "3,5"})
        node = json["nodes"][0]
        self.assertEqual([rank["gpu"] for rank in node["ranks"]],
                         [node["gpus"][3]["bus_id"], node["gpus"][5]["bus_id"]])

    def test_what_is_no_machine(self):
        with open(self.machine("dgx"), encoding="utf-8") as file:
            cut = file.read(3000)
        for text in ("", "hello", "<topology", cut):
            with open(self.path("bad.xml"), "w", encoding="utf-8") as file:
                file.write(text)
            self.fails("topo", "--xml", self.path("bad.xml"), ranks=2, code=1,
                       says=["(format", "bad.xml", "lstopo"])
        self.fails("topo", "--xml", self.path("none.xml"), ranks=2, code=1,
                   says=["(not_found", "none.xml"])
        self.fails("topo", ranks=2, code=1, says=["(format", "bad.xml"],
                   environment={"HWLOC_XMLFILE": self.path("bad.xml")})

    def test_bad_settings(self):
        for arguments, words in ((("--ranks", "99999999999"), "from 1 to 4096"),
                                 (("--ranks", "0"), "--ranks"),
                                 (("--ranks", "-1"), "--ranks"),
                                 (("--bind", "core"), "auto or none"),
                                 (("--bound", "disk"), "none, core, numa or package")):
            with self.subTest(arguments=arguments):
                self.fails("topo", *arguments, ranks=2, code=2, says=[words])

    # ---- a run

    def placement(self, *arguments, **options):
        report = self.path("report.json")
        if not os.path.exists(self.path("data")):
            write_shards(self.path("data"), [30, 20])
        self.faro("run", self.path("data"), "--global-batch", 8, "--verify", *arguments,
                  "--report", report, **options)
        return read_json(report)["placement"]

    def test_the_report_has_every_rank(self):
        ranks = self.placement(ranks=2)
        self.assertEqual([rank["rank"] for rank in ranks], [0, 1])
        for rank in ranks:
            self.assertIn("huge pages for the arena", " ".join(rank["notes"]))
            self.assertTrue(rank["cpus"])
            self.assertRegex(rank["device"], "^(host|cuda )")

    def test_bind_none(self):
        for rank in self.placement("--bind", "none", ranks=2):
            self.assertEqual((rank["cpus"], rank["fetch_cpus"]), ("", ""))
            self.assertIn("bind = none", rank["notes"][0])

    def test_what_cannot_be_bound_is_told_and_no_error(self):
        """Placed by another machine's topology, on which nothing can be bound."""
        ranks = self.placement(ranks=2, environment={"HWLOC_XMLFILE": self.machine("dgx")})
        for rank in ranks:
            self.assertEqual((rank["fetch_cpus"], rank["exchange_cpus"], rank["numa"]), ("", "", -1))
            notes = " ".join(rank["notes"])
            for words in ("fetch thread could not be bound", "exchange thread could not be bound",
                          "memory comes from where it is touched first"):
                self.assertIn(words, notes)
            self.assertTrue(rank["gpu"] and rank["nic"])
        with open(self.path("bad.xml"), "w", encoding="utf-8") as file:
            file.write("hello")
        for rank in self.placement(ranks=2, environment={"HWLOC_XMLFILE": self.path("bad.xml")}):
            self.assertIn("the machine is not known", rank["notes"][0])


if __name__ == "__main__":
    unittest.main()

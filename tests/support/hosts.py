"""Several hosts on one machine: namespaces with a network, a host name, processes and a /dev/shm of
their own each, on one switch.

The file system is shared, as on a cluster. Every namespace is held by a process that dies with this
one, and takes with it what runs in there and all interfaces: nothing of it is ever left, and as the
switch is in a namespace as well, its addresses are nobody else's.
"""
import os
import shutil
import subprocess
import tempfile
import time

LACKS = "three hosts need root, `ip` (package iproute2) and `unshare`, `nsenter` (util-linux): "


def why_not():
    """Why there can be no such hosts here; None where there can."""
    if os.getuid() != 0:
        return LACKS + "this is not root"
    for program in ("ip", "unshare", "nsenter"):
        if shutil.which(program, path=PATH) is None:
            return LACKS + f"no {program}"
    try:
        with Hosts(1):
            return None
    except (RuntimeError, subprocess.CalledProcessError) as error:
        return LACKS + f"{error} {getattr(error, 'stderr', '') or ''}".strip()


PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"


class Namespaces:
    """Those of one host, or of the switch."""

    def __init__(self, name, *kinds, setup=":"):
        # SIGCHLD ignored: nobody needs to wait for processes that their parents have left.
        self.name = name
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", "unshare", "--net", "--uts", "--fork",
             "--kill-child", *kinds, "sh", "-c",
             f"hostname {name} && ip link set lo up && {setup} && trap '' CHLD && echo $$ here && "
             "exec sleep infinity"],
            env={**os.environ, "PATH": PATH}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        said = self.process.stdout.readline()
        if not said.endswith("here\n"):
            self.close()
            raise RuntimeError(f"no namespaces here: {said.strip()}")
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children",
                  encoding="ascii") as file:
            self.pid = int(file.read())  # as seen from outside

    def enter(self, *more):
        """The command that starts another one in there."""
        return ["nsenter", "--target", str(self.pid), "--net", "--uts", *more]

    def run(self, *command):
        return subprocess.run([*self.enter(), *command], check=True, capture_output=True, text=True,
                              env={**os.environ, "PATH": PATH}).stdout

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Host(Namespaces):
    def __init__(self, name, address):
        super().__init__(name, "--mount", "--pid", "--mount-proc",
                         setup="mount -t tmpfs tmpfs /dev/shm")
        self.address = address

    def enter(self, *more):
        return super().enter("--mount", "--pid", *more)

    def reaches(self, address):
        """Whether it is refused a connection to a port where nobody listens."""
        self.run("ip", "neigh", "flush", "dev", "eth0")
        probe = subprocess.run([*self.enter(), "timeout", "1", "bash", "-c", f"exec 3<>/dev/tcp/{address}/9"],
                               text=True, capture_output=True, check=False)
        return "refused" in probe.stderr

    def shm(self):
        """The names in its /dev/shm."""
        return sorted(os.listdir(f"/proc/{self.pid}/root/dev/shm"))


class Hosts:
    """A context; close() does the same. launch() is how mpirun runs over them."""

    NETWORK = "10.77.0"

    def __init__(self, count=3, slots=2):
        self.folder = tempfile.mkdtemp(prefix="faro-hosts-")
        self.all, self.switch = [], None
        self.slots = slots
        tag = f"{os.getpid() % 100000}"
        try:
            self.switch = Namespaces(f"faro-{tag}-switch")
            self.switch.run("ip", "link", "add", "switch", "type", "bridge")
            self.switch.run("ip", "addr", "add", f"{self.NETWORK}.254/24", "dev", "switch")
            self.switch.run("ip", "link", "set", "switch", "up")
            for number in range(1, count + 1):
                self.all.append(self.add(f"faro-{tag}-{number}", number))
            self.write_files()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def address(self):
        """The switch's, from where mpirun and servers reach the hosts."""
        return f"{self.NETWORK}.254"

    def add(self, name, number):
        host = Host(name, f"{self.NETWORK}.{number}")
        try:
            self.switch.run("ip", "link", "add", f"port{number}", "master", "switch", "type", "veth",
                            "peer", "name", "eth0", "netns", str(host.pid))
            self.switch.run("ip", "link", "set", f"port{number}", "up")
            host.run("ip", "addr", "add", f"{host.address}/24", "dev", "eth0")
            host.run("ip", "link", "set", "eth0", "up")
        except BaseException:
            host.close()
            raise
        return host

    def write_files(self):
        with open(os.path.join(self.folder, "hosts"), "w", encoding="ascii") as file:
            file.writelines(f"{host.name} slots={self.slots}\n" for host in self.all)
        # What mpirun starts instead of ssh: options, the host's name, a command line.
        agent = os.path.join(self.folder, "agent")
        with open(agent, "w", encoding="ascii") as file:
            file.write('#!/bin/sh\nwhile :; do case $1 in -*) shift ;; *) break ;; esac; done\n'
                       'host=$1; shift\ncase $host in\n')
            for host in self.all:
                file.write(f'{host.name}) exec {" ".join(host.enter())} sh -c "$*" ;;\n')
            file.write('esac\necho "no host $host" >&2; exit 1\n')
        os.chmod(agent, 0o755)

    def launch(self):
        """What Test.start() takes for its mpirun to run over the hosts."""
        network = f"{self.NETWORK}.0/24"
        return {"before": self.switch.enter(), "environment": {
            "OMPI_MCA_orte_default_hostfile": os.path.join(self.folder, "hosts"),
            "OMPI_MCA_plm": "rsh",
            "OMPI_MCA_plm_rsh_agent": os.path.join(self.folder, "agent"),
            "OMPI_MCA_btl_tcp_if_include": network,
            "OMPI_MCA_oob_tcp_if_include": network,
        }}

    def shape(self, number, *words):
        """tc's words, for a host's link in both directions."""
        for where, device in ((self.all[number], "eth0"), (self.switch, f"port{number + 1}")):
            where.run("tc", "qdisc", *words[:1], "dev", device, "root", *words[1:])

    def limit(self, number, rate):
        """Holds a host's link to a rate ("1gbit")."""
        self.shape(number, "replace", "tbf", "rate", rate, "burst", "256k", "latency", "50ms")

    def unlimit(self, number):
        self.shape(number, "del")

    def link(self, number, state):
        """state: "down", as where its cable is pulled, or "up"."""
        self.switch.run("ip", "link", "set", f"port{number + 1}", state)
        if state == "up":
            self.await_reach(number)

    def await_reach(self, number):
        """Until a host and all others reach each other: after a link was down they have given each other
        up for a while, and Open MPI does not try twice."""
        deadline = time.monotonic() + 20
        for other in [*self.all[:number], *self.all[number + 1:]]:
            for one, another in ((self.all[number], other), (other, self.all[number])):
                while not one.reaches(another.address):
                    if time.monotonic() > deadline:
                        raise RuntimeError(f"{one.name} does not reach {another.name}")
                    time.sleep(0.1)

    def close(self):
        for namespaces in [*self.all, self.switch]:
            if namespaces:
                namespaces.close()
        shutil.rmtree(self.folder, ignore_errors=True)

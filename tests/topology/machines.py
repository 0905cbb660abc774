#!/usr/bin/env python3
"""machines.py DIR: writes machines that one does not have as hwloc XML, for the tests and for
`faro topo --xml`. Only what placement looks at: packages, NUMA nodes, cores, PCI devices."""
import os
import sys

GIB = 1 << 30
NVIDIA_GPU = "0302 [10de:2330] [10de:16c1] a1"
HCA = "0207 [15b3:1021] [15b3:0023] 00"
ETHERNET = "0200 [8086:1593] [8086:0002] 02"
NVME = "0108 [144d:a824] [144d:a801] 00"
BMC_VGA = "0300 [1a03:2000] [1a03:2000] 52"
COPROC, OPENFABRICS, NETWORK, BLOCK, GPU = 5, 3, 2, 0, 1  # hwloc's osdev_type


def mask(numbers):
    """As hwloc writes sets: 32 bits a word, the highest first."""
    bits = sum(1 << number for number in numbers)
    words = []
    while bits or not words:
        words.append(f"0x{bits & 0xffffffff:08x}")
        bits >>= 32
    return ",".join(reversed(words))


class Machine:
    """One NUMA node a package. Linux numbers the second processors of cores after all the first."""

    def __init__(self, name, packages, cores, threads=1, memory=64 * GIB):
        self.name, self.packages, self.cores, self.threads = name, packages, cores, threads
        self.memory = memory
        self.gp = 0
        self.host_bridges = {package: [] for package in range(packages)}
        self.buses = 0

    def object(self, attributes, *children):
        self.gp += 1
        return f'<object {attributes} gp_index="{self.gp}">{"".join(children)}</object>\n'

    def sets(self, pus, nodes, name="cpuset"):
        return (f'{name}="{mask(pus)}" complete_{name}="{mask(pus)}" '
                f'nodeset="{mask(nodes)}" complete_nodeset="{mask(nodes)}"')

    def pus(self, cores):
        total = self.packages * self.cores
        return [core + total * thread for core in cores for thread in range(self.threads)]

    def os_device(self, name, kind, **infos):
        text = "".join(f'<info name="{key}" value="{value}"/>' for key, value in infos.items())
        return self.object(f'type="OSDev" name="{name}" osdev_type="{kind}"', text)

    def pci(self, bus, what, *names):
        """A device alone on its bus."""
        return self.object(f'type="PCIDev" pci_busid="0000:{bus:02x}:00.0" pci_type="{what}" '
                           'pci_link_speed="63.0"', *names)

    def switch(self, package, *devices):
        """Devices (pci_type, os devices) below a host bridge and a PCI switch of their own."""
        first = 0x10 + self.buses
        self.buses += len(devices) + 2
        below = "".join(self.pci(first + 1 + i, what, *names)
                        for i, (what, *names) in enumerate(devices))
        span = f"0000:[{first + 1:02x}-{first + len(devices):02x}]"
        port = self.object(f'type="Bridge" bridge_type="1-1" depth="1" bridge_pci="{span}" '
                           f'pci_busid="0000:{first:02x}:00.0" pci_link_speed="0.0" '
                           'pci_type="0604 [1000:c030] [1000:100b] b0"', below)
        whole = f"0000:[{first:02x}-{first + len(devices):02x}]"
        self.host_bridges[package].append(
            self.object(f'type="Bridge" bridge_type="0-1" depth="0" bridge_pci="{whole}"', port))

    def xml(self):
        packages = []
        for package in range(self.packages):
            cores = range(package * self.cores, (package + 1) * self.cores)
            memory = self.object(
                f'type="NUMANode" os_index="{package}" {self.sets(self.pus(cores), [package])} '
                f'local_memory="{self.memory}"', '<page_type size="4096" count="1"/>')
            inner = [self.object(
                f'type="Core" os_index="{core}" {self.sets(self.pus([core]), [package])}',
                *[self.object(f'type="PU" os_index="{pu}" {self.sets([pu], [package])}')
                  for pu in self.pus([core])]) for core in cores]
            packages.append(self.object(
                f'type="Package" os_index="{package}" {self.sets(self.pus(cores), [package])}',
                memory, *inner, *self.host_bridges[package]))
        pus, nodes = self.pus(range(self.packages * self.cores)), list(range(self.packages))
        machine = self.object(
            f'type="Machine" os_index="0" {self.sets(pus, nodes)} '
            f'allowed_cpuset="{mask(pus)}" allowed_nodeset="{mask(nodes)}"',
            f'<info name="HostName" value="{self.name}"/>', *packages)
        return ('<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE topology SYSTEM "hwloc2.dtd">\n'
                f'<topology version="2.0">\n{machine}</topology>\n')


def hca(machine, number, state=4):
    return (HCA, machine.os_device(f"mlx5_{number}", OPENFABRICS, Port1State=state),
            machine.os_device(f"ib{number}", NETWORK))


def gpu(machine, number, named=True):
    if not named:  # as hwloc without CUDA and NVML sees it
        return (NVIDIA_GPU,)
    return (NVIDIA_GPU, machine.os_device(f"cuda{number}", COPROC),
            machine.os_device(f"nvml{number}", GPU, NVIDIAUUID=f"GPU-0000{number}-uuid"))


def dgx(name="dgx", named=True):
    """2 packages of 16 cores with 2 threads each, 8 GPUs, each with an HCA below the same switch."""
    machine = Machine(name, packages=2, cores=16, threads=2, memory=1024 * GIB)
    for number in range(8):
        package = number // 4
        machine.switch(package, gpu(machine, number, named), hca(machine, number),
                       (NVME, machine.os_device(f"nvme{number}n1", BLOCK)))
    machine.switch(0, (ETHERNET, machine.os_device("eno1", NETWORK)), (BMC_VGA,))
    return machine


def cpu_node():
    """2 packages of 4 cores, one HCA near the second; the other's port is down."""
    machine = Machine("cpu", packages=2, cores=4, threads=2)
    machine.switch(1, hca(machine, 0))
    machine.switch(0, hca(machine, 1, state=1), (ETHERNET, machine.os_device("eno1", NETWORK)))
    return machine


def laptop():
    """One package of 4 cores, Ethernet alone."""
    machine = Machine("laptop", packages=1, cores=4)
    machine.switch(0, (ETHERNET, machine.os_device("eth0", NETWORK)))
    return machine


def bare():
    """One package of 16 cores and nothing on the bus."""
    return Machine("bare", packages=1, cores=16)


def write(folder):
    os.makedirs(folder, exist_ok=True)
    for machine in (dgx(), dgx("dgx-unnamed", named=False), cpu_node(), laptop(), bare()):
        with open(os.path.join(folder, machine.name + ".xml"), "w", encoding="utf-8") as file:
            file.write(machine.xml())


if __name__ == "__main__":
    write(sys.argv[1])

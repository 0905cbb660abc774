"""Writes tar files with GNU tar and Python's tarfile into the folder of argv[1], and beside each, as
NAME.expected, what Python's tarfile reads from it, grouped by WebDataset's rules."""
import io
import os
import subprocess
import sys
import tarfile

root = sys.argv[1]
tree = os.path.join(root, "tree")
os.makedirs(os.path.join(tree, "v1.5", "deep"))


def put(path, data):
    with open(os.path.join(tree, path), "wb") as out:
        out.write(data)
    return path


short = [put(f"v1.5/{i:03}.{ext}", bytes([i % 251]) * (i * 37 % 1700))
         for i in range(20) for ext in ("PNG", "seg.Png", "cls")]
short += ["v1.5/deep", put("v1.5/deep/readme", b"no field"), put("v1.5/deep/.hid.den", b"hidden"),
          put("v1.5/deep/empty.txt", b""), put("v1.5/deep/last.bin", os.urandom(100_000))]
os.link(f"{tree}/v1.5/003.cls", f"{tree}/v1.5/deep/hard.cls")
os.symlink("last.bin", f"{tree}/v1.5/deep/soft.bin")
short += ["v1.5/deep/hard.cls", "v1.5/deep/soft.bin"]

unicode = [put("größe-寸法.jpg", b"unicode"), put("größe-寸法.CLS", b"1")]
# Fits ustar's prefix and name; the next ones need GNU's or PAX's long names.
os.makedirs(os.path.join(tree, "p" * 90, "q" * 60))
prefixed = [put("p" * 90 + "/" + "q" * 60 + "/" + "n" * 80 + ext, b"prefix") for ext in (".a", ".b")]
folder = "/".join("d" * 50 + str(i) for i in range(8))
os.makedirs(os.path.join(tree, folder))
long = [put(f"{folder}/{'n' * 120}.{ext}", b"long " + ext.encode()) for ext in ("a", "b")]
os.symlink("x" * 150, os.path.join(tree, "soft"))
long.append("soft")
put("after.png", b"after")

writers = {
    "v7": short, "ustar": short + unicode + prefixed, "gnu": short + unicode + prefixed + long,
    "oldgnu": short + prefixed + long, "pax": short + unicode + prefixed + long,
}
for name, members in writers.items():
    with open(os.path.join(root, "list"), "w", encoding="utf-8") as out:
        out.write("\n".join(members + ["after.png"]))
    subprocess.run(["tar", f"--format={name}", "--no-recursion", "-C", tree, "-T", f"{root}/list",
                    "-cf", f"{root}/tar-{name}.tar"], check=True,
                   env={**os.environ, "LC_ALL": "C.UTF-8"})

for name, kind in (("ustar", tarfile.USTAR_FORMAT), ("gnu", tarfile.GNU_FORMAT),
                   ("pax", tarfile.PAX_FORMAT)):
    headers = {"comment": "a global header"} if name == "pax" else None
    with tarfile.open(f"{root}/python-{name}.tar", "w", format=kind, pax_headers=headers) as tar:
        for member in writers[name]:
            tar.add(os.path.join(tree, member), member, recursive=False)
        info = tarfile.TarInfo("at-the-end.bin")
        info.size = 700
        info.mtime = 1e9 + 0.5
        tar.addfile(info, io.BytesIO(b"e" * 700))
with tarfile.open(f"{root}/python-empty.tar", "w"):
    pass

for name in sorted(os.listdir(root)):
    if not name.endswith(".tar"):
        continue
    samples = []
    with tarfile.open(os.path.join(root, name)) as tar:
        for member in tar:
            base = os.path.basename(member.name)
            if not member.isreg() or "." not in base or base.startswith("."):
                continue
            stem, field = base.split(".", 1)
            key = os.path.join(os.path.dirname(member.name), stem)
            if not samples or samples[-1][0] != key:
                samples.append((key, []))
            samples[-1][1].append((field.lower(), tar.extractfile(member).read()))
    with open(os.path.join(root, name[:-4] + ".expected"), "wb") as out:
        for key, fields in samples:
            out.write(b"sample " + key.encode() + b"\n")
            for field, data in fields:
                out.write(b"field " + field.encode() + b" " + str(len(data)).encode() + b"\n" + data)

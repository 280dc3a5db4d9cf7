#!/usr/bin/env python3
"""Makes the files beside it anew, without any of our code: pip install pyrage cryptography; ./make.py

It writes what sops 3 writes (stores and cipher as in github.com/getsops/sops, aes/cipher.go and sops.go): the data key in an
age file for each recipient, values bound to their keys, and the MAC over all of them. Recipients are a key of age, an ed25519
key of ssh, and the same key of ssh turned into one of age, as ssh-to-age does. Beside values of each type there is a comment,
which sops encrypts and leaves out of the MAC. Keys are made anew each time.
"""
import base64, hashlib, os, subprocess
import pyrage
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

HERE = os.path.dirname(os.path.abspath(__file__))
LAST_MODIFIED = "2026-01-02T03:04:05Z"


def text_of(value):
    if value is True or value is False:
        return "True" if value else "False"
    return str(value)


def type_of(value):
    return {bool: "bool", int: "int", float: "float", str: "str"}[type(value)]


def seal(key, value, place, type_=None):
    if value == "":
        return ""
    nonce = os.urandom(32)
    encryptor = Cipher(algorithms.AES(key), modes.GCM(nonce)).encryptor()
    encryptor.authenticate_additional_data(place.encode())
    data = encryptor.update(text_of(value).encode()) + encryptor.finalize()
    b64 = lambda raw: base64.b64encode(raw).decode()
    return f"ENC[AES256_GCM,data:{b64(data)},iv:{b64(nonce)},tag:{b64(encryptor.tag)},type:{type_ or type_of(value)}]"


def write(name, text):
    with open(os.path.join(HERE, name), "w") as file:
        file.write(text)


def bech32_age(raw):
    charset = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    def polymod(values):
        generator, check = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3], 1
        for value in values:
            top, check = check >> 25, (check & 0x1ffffff) << 5 ^ value
            for i in range(5):
                check ^= generator[i] if (top >> i) & 1 else 0
        return check
    number, bits, data = 0, 0, []
    for byte in raw:
        number, bits = (number << 8) | byte, bits + 8
        while bits >= 5:
            bits -= 5
            data.append((number >> bits) & 31)
    if bits:
        data.append((number << (5 - bits)) & 31)
    hrp = "age"
    expanded = [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp]
    check = polymod(expanded + data + [0] * 6) ^ 1
    return hrp + "1" + "".join(charset[d] for d in data + [(check >> 5 * (5 - i)) & 31 for i in range(6)])


def converted(public):
    """Edwards to Montgomery: u = (1 + y) / (1 - y)."""
    p = 2**255 - 19
    raw = base64.b64decode(public.split()[1])[-32:]
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    return bech32_age(((1 + y) * pow(1 - y, p - 2, p) % p).to_bytes(32, "little"))


def armored(key, recipient):
    raw = pyrage.encrypt(key, [recipient])
    lines = base64.b64encode(raw).decode()
    lines = [lines[at:at + 64] for at in range(0, len(lines), 64)]
    return ["-----BEGIN AGE ENCRYPTED FILE-----", *lines, "-----END AGE ENCRYPTED FILE-----"]


native = pyrage.x25519.Identity.generate()
stranger = pyrage.x25519.Identity.generate()
write("age_identity", f"# public key: {native.to_public()}\n{native}\n")
write("stranger_identity", f"{stranger}\n")
host_key = os.path.join(HERE, "host_key")
for old in (host_key, host_key + ".pub"):
    if os.path.exists(old):
        os.remove(old)
subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", host_key], check=True)
ssh_public = " ".join(open(host_key + ".pub").read().split()[:2])
os.remove(host_key + ".pub")
as_age = converted(ssh_public)
write("recipients", f"{native.to_public()}\n{as_age}\n{ssh_public}\n")


def age_part(key, names, indent):
    recipients = {
        "native": (str(native.to_public()), native.to_public()),
        "ssh": (ssh_public, pyrage.ssh.Recipient.from_str(ssh_public)),
        "converted": (as_age, pyrage.x25519.Recipient.from_str(as_age)),
    }
    lines = []
    for name in names:
        shown, recipient = recipients[name]
        lines += [f"    - recipient: {shown}", "      enc: |", *("        " + line for line in armored(key, recipient))]
    return "\n".join(lines)


def yaml_file(name, names):
    key = os.urandom(32)
    hashed = hashlib.sha512()
    def enc(value, *keys):
        hashed.update(text_of(value).encode())
        return seal(key, value, "".join(k + ":" for k in keys))
    body = "\n".join([
        "#" + seal(key, " kept for the rebuild", "", "comment"),
        "forge:",
        "    token: " + enc("forge-kanari-1", "forge", "token"),
        "    port: " + enc(2222, "forge", "port"),
        "    ratio: " + enc(0.25, "forge", "ratio"),
        "    enabled: " + enc(True, "forge", "enabled"),
        "    motto: " + enc("zwei\nZeilen: ü", "forge", "motto"),
        "    nothing: null",
        "    empty: \"\"",
        "users:",
        "    - name: " + enc("ada", "users", "name"),
        "      password: " + enc("ada-kanari", "users", "password"),
        "    - name: " + enc("bob", "users", "name"),
        "      password: " + enc("bob-kanari", "users", "password"),
    ])
    plain = [("host_unencrypted", "git.example", "git.example"), ("retries_unencrypted", "3", "3"),
             ("loud_unencrypted", "true", "True"), ("since_unencrypted", "\"2026-01-01\"", "2026-01-01")]
    for name_, shown, said in plain:
        hashed.update(said.encode())
        body += f"\n{name_}: {shown}"
    mac = seal(key, hashed.hexdigest().upper(), LAST_MODIFIED)
    write(name, f"{body}\nsops:\n    kms: []\n    gcp_kms: []\n    age:\n{age_part(key, names, 4)}\n"
                f"    lastmodified: \"{LAST_MODIFIED}\"\n    mac: {mac}\n    pgp: []\n"
                "    unencrypted_suffix: _unencrypted\n    version: 3.8.1\n")


def json_file(name):
    import json
    key = os.urandom(32)
    hashed = hashlib.sha512(hashlib.sha256(b"sops").digest())
    data = {}
    for key_, value in [("password", "manifest-kanari"), ("user", "admin")]:
        hashed.update(value.encode())
        data[key_] = seal(key, value, f"stringData:{key_}:")
    mac = seal(key, hashed.hexdigest().upper(), LAST_MODIFIED)
    file = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "stringData": data,
            "sops": {"age": [{"recipient": str(native.to_public()), "enc": "\n".join(armored(key, native.to_public())) + "\n"}],
                     "lastmodified": LAST_MODIFIED, "mac": mac, "encrypted_regex": "^(data|stringData)$",
                     "mac_only_encrypted": True, "version": "3.9.0"}}
    write(name, json.dumps(file, indent=4) + "\n")


yaml_file("all.yaml", ["native", "ssh", "converted"])
yaml_file("ssh_only.yaml", ["ssh"])
yaml_file("converted_only.yaml", ["converted"])
json_file("manifest.json")

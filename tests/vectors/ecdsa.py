#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes ecdsa.h from the SHA-256 part of NIST-style secp256k1 signature vectors.

Source: cryptography_vectors/asymmetric/ECDSA/SECP256K1/SigGen.txt of the Debian
package python3-cryptography-vectors 38.0.4 (pyca/cryptography, Apache-2.0 or BSD).
Messages are replaced by their digests, which is what a verifier takes.
Usage: ecdsa.py SigGen.txt > ecdsa.h
"""
import hashlib
import sys


def records(path):
    section, record = "", {}
    for line in open(path, encoding="ascii"):
        line = line.strip()
        if line.startswith("["):
            section = line
        elif " = " in line and section == "[K-256,SHA-256]":
            name, value = line.split(" = ")
            record[name] = value
            if name == "S":
                yield record
                record = {}


def main():
    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print("/* Written by ecdsa.py, which names the source. ECDSA, secp256k1, SHA-256. */")
    print("static const struct {")
    print("\tconst char *x, *y;")
    print("\tconst char *digest;")
    print("\tconst char *r, *s;")
    print("} ecdsa_vectors[] = {")
    for record in records(sys.argv[1]):
        message = bytes.fromhex(record["Msg"])
        fields = [record["Qx"], record["Qy"], hashlib.sha256(message).hexdigest(), record["R"],
                  record["S"]]
        lines = ",\n     ".join('"%s"' % field.rjust(64, "0") for field in fields)
        print("    {%s}," % lines)
    print("};")


main()

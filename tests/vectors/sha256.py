#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes sha256.h: digests of a pattern at the lengths around the padding's edges.

The published examples (FIPS 180-4 / NIST) stand in tests/unit_sha256.c itself;
what this computes comes from Python's hashlib, an implementation of its own.
Usage: sha256.py > sha256.h
"""
import hashlib

SIZES = [0, 1, 3, 8, 55, 56, 57, 63, 64, 65, 66, 118, 119, 120, 127, 128, 129, 191, 247, 248,
         255, 256, 257, 1000, 1024, 4096, 8192, 65536, 1048576, 1048577]


def main():
    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print("/* Written by sha256.py. SHA-256 of the first `size` bytes of i * 7 + i / 251 + 3. */")
    print("static const struct {")
    print("\tuint32_t size;")
    print("\tconst char *digest;")
    print("} sha256_pattern_vectors[] = {")
    for size in SIZES:
        data = bytes((i * 7 + i // 251 + 3) & 255 for i in range(size))
        print('    {%d, "%s"},' % (size, hashlib.sha256(data).hexdigest()))
    print("};")


main()

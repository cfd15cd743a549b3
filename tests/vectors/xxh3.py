"""XXH3-64 without a seed, in plain Python, by its public specification: what the checksums of
frames are made of. Slow, and independent of every other implementation here.

SPDX-License-Identifier: Apache-2.0
"""
MASK64 = (1 << 64) - 1
P32_1, P32_2, P32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
P64_1, P64_2, P64_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P64_4, P64_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
MX1, MX2 = 0x165667919E3779F9, 0x9FB21C651E98DF25

SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e")


def u32(data, at=0):
    return int.from_bytes(data[at:at + 4], "little")


def u64(data, at=0):
    return int.from_bytes(data[at:at + 8], "little")


def swap(value, count):
    return int.from_bytes(value.to_bytes(count, "little"), "big")


def rotate(value, bits):
    return (value << bits | value >> (64 - bits)) & MASK64


def fold(left, right):
    product = left * right
    return (product & MASK64) ^ (product >> 64)


def avalanche(h):
    h ^= h >> 37
    h = h * MX1 & MASK64
    return h ^ h >> 32


def avalanche_xxh64(h):
    h ^= h >> 33
    h = h * P64_2 & MASK64
    h ^= h >> 29
    h = h * P64_3 & MASK64
    return h ^ h >> 32


def mix16(data, at, secret_at):
    return fold(u64(data, at) ^ u64(SECRET, secret_at),
                u64(data, at + 8) ^ u64(SECRET, secret_at + 8))


def hash_to_16(data):
    n = len(data)
    if n > 8:
        low = u64(data) ^ u64(SECRET, 24) ^ u64(SECRET, 32)
        high = u64(data, n - 8) ^ u64(SECRET, 40) ^ u64(SECRET, 48)
        return avalanche((n + swap(low, 8) + high + fold(low, high)) & MASK64)
    if n >= 4:
        h = (u32(data, n - 4) + (u32(data) << 32)) ^ u64(SECRET, 8) ^ u64(SECRET, 16)
        h ^= rotate(h, 49) ^ rotate(h, 24)
        h = h * MX2 & MASK64
        h ^= (h >> 35) + n
        h = h * MX2 & MASK64
        return h ^ h >> 28
    if n:
        combined = data[0] << 16 | data[n >> 1] << 24 | data[n - 1] | n << 8
        return avalanche_xxh64(combined ^ u32(SECRET) ^ u32(SECRET, 4))
    return avalanche_xxh64(u64(SECRET, 56) ^ u64(SECRET, 64))


def hash_to_240(data):
    n = len(data)
    h = n * P64_1
    if n <= 128:
        for i in range((n - 1) // 32 + 1):
            h += mix16(data, 16 * i, 32 * i) + mix16(data, n - 16 * (i + 1), 32 * i + 16)
        return avalanche(h & MASK64)
    for i in range(8):
        h += mix16(data, 16 * i, 16 * i)
    h = avalanche(h & MASK64)
    for i in range(8, n // 16):
        h += mix16(data, 16 * i, 16 * (i - 8) + 3)
    h += mix16(data, n - 16, 136 - 17)
    return avalanche(h & MASK64)


def accumulate(lanes, data, at, secret_at):
    for i in range(8):
        value = u64(data, at + 8 * i)
        key = value ^ u64(SECRET, secret_at + 8 * i)
        lanes[i ^ 1] = lanes[i ^ 1] + value & MASK64
        lanes[i] = lanes[i] + (key & 0xffffffff) * (key >> 32) & MASK64


def hash_long(data):
    n = len(data)
    lanes = [P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1]
    stripes_a_block = (len(SECRET) - 64) // 8
    blocks = (n - 1) // (64 * stripes_a_block)
    for block in range(blocks):
        for stripe in range(stripes_a_block):
            accumulate(lanes, data, (block * stripes_a_block + stripe) * 64, 8 * stripe)
        for i in range(8):
            lane = lanes[i] ^ lanes[i] >> 47 ^ u64(SECRET, len(SECRET) - 64 + 8 * i)
            lanes[i] = lane * P32_1 & MASK64
    start = blocks * stripes_a_block * 64
    for stripe in range((n - 1 - start) // 64):
        accumulate(lanes, data, start + 64 * stripe, 8 * stripe)
    accumulate(lanes, data, n - 64, len(SECRET) - 64 - 7)
    h = n * P64_1
    for i in range(4):
        h += fold(lanes[2 * i] ^ u64(SECRET, 11 + 16 * i),
                  lanes[2 * i + 1] ^ u64(SECRET, 11 + 16 * i + 8))
    return avalanche(h & MASK64)


def xxh3_64(data):
    if len(data) <= 16:
        return hash_to_16(data)
    return hash_to_240(data) if len(data) <= 240 else hash_long(data)

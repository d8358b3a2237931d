"""CRC-16/IBM, also known as CRC-16/ARC: polynomial 0x8005 reflected, initial value 0."""


def _entry(byte):
    for _ in range(8):
        byte = byte >> 1 ^ (0xA001 if byte & 1 else 0)
    return byte


# Computed when the component is built, and part of it.
_TABLE = tuple(_entry(byte) for byte in range(256))


def crc16(data):
    """Returns the checksum of the bytes."""
    table = _TABLE
    crc = 0
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc

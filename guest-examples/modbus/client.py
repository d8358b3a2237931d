"""Uses the server of this example through pymodbus, and with bytes that pymodbus does not send.

    client.py TCP RTU COMMAND...

TCP and RTU are the addresses of the two listeners, such as 127.0.0.1:1502. In the middle, the
client runs COMMAND once for each listener, and goes on with the same connections. `{}` in COMMAND is
the name of the codec, tcp or rtu.
"""

import asyncio
import socket
import subprocess
import sys

from pymodbus import FramerType
from pymodbus.client import AsyncModbusTcpClient

BROADCAST = 0


def expect(what, actual, expected):
    if actual != expected:
        sys.exit(f"{what}: {actual!r} instead of {expected!r}")
    print(f"{what}: {actual!r}")


def expect_done(answer):
    if answer.isError():
        sys.exit(f"not written: {answer}")


def expect_exception(what, answer, code):
    expect(what, answer.exception_code if answer.isError() else "no exception", code)


async def connect(address, framer):
    host, port = address.split(":")
    client = AsyncModbusTcpClient(host, port=int(port), framer=framer, timeout=5, retries=0)
    expect("connected", await client.connect(), True)
    return client


def local_address(client):
    """Another connection has another one."""
    return client.ctx.transport.get_extra_info("sockname")


async def use(client):
    pattern = [True, False, True, True, False, False, True, True, True, False]
    expect_done(await client.write_coils(10, pattern, device_id=1))
    expect_done(await client.write_coil(11, True, device_id=1))
    pattern[1] = True
    coils = await client.read_coils(10, count=10, device_id=1)
    expect("coils", coils.bits[:10], pattern)
    inputs = await client.read_discrete_inputs(10, count=10, device_id=1)
    expect("discrete inputs", inputs.bits[:10], pattern)
    other = await client.read_coils(10, count=10, device_id=2)
    expect("coils of unit 2", other.bits[:10], [False] * 10)

    measured = await client.read_input_registers(5, count=3, device_id=1)
    expect("input registers", measured.registers, [1005, 1006, 1007])
    measured = await client.read_input_registers(5, count=3, device_id=2)
    expect("input registers of unit 2", measured.registers, [2005, 2006, 2007])

    most = list(range(123, 0, -1))
    expect_done(await client.write_registers(0, most, device_id=1))
    registers = await client.read_holding_registers(0, count=123, device_id=1)
    expect("123 registers come back", registers.registers == most, True)
    expect_done(await client.write_register(4, 0x12, device_id=1))
    # The masks and the result are the example of the specification.
    masked = await client.mask_write_register(
        address=4, and_mask=0xF2, or_mask=0x25, device_id=1
    )
    expect_done(masked)
    both = await client.readwrite_registers(
        read_address=3, read_count=4, write_address=5, values=[0xFFFF, 7], device_id=1
    )
    expect("written, masked, and written and read at once", both.registers, [120, 0x17, 0xFFFF, 7])

    answer = await client.read_exception_status(device_id=1)
    expect_exception("illegal function", answer, 1)
    answer = await client.read_coils(199, count=2, device_id=1)
    expect_exception("illegal data address", answer, 2)
    answer = await client.write_register(100, 91, device_id=1)
    expect_exception("illegal data value", answer, 3)
    answer = await client.read_coils(0, count=1, device_id=3)
    expect_exception("no such unit", answer, 11)


async def broadcast(client):
    """Writes to all units at once. None of them answers."""
    await client.write_register(150, 42, device_id=BROADCAST, no_response_expected=True)
    for unit in (1, 2):
        register = await client.read_holding_registers(150, count=1, device_id=unit)
        expect(f"the broadcast has reached unit {unit}", register.registers, [42])


def exchange(address, sent, length):
    """Sends bytes on a new connection. Returns the answer, or less of it if the server closes."""
    host, port = address.split(":")
    answer = b""
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(bytes.fromhex(sent))
        while len(answer) < length and (more := connection.recv(length - len(answer))):
            answer += more
    return answer.hex(" ")


def bytes_of_tcp(address):
    read_unit_1 = "0007 0000 0006 01 04 0000 0001"
    read_unit_2 = "0008 0000 0006 02 04 0000 0001"
    answers = "00 07 00 00 00 05 01 04 02 03 e8 00 08 00 00 00 05 02 04 02 07 d0"
    expect("two requests at once", exchange(address, read_unit_1 + read_unit_2, 22), answers)
    no_registers = "0009 0000 0006 01 04 0000 0000"
    expect("a count of zero", exchange(address, no_registers, 9), "00 09 00 00 00 03 01 84 03")
    expect("another protocol closes", exchange(address, "0001 0001 0006", 1), "")
    expect("a length of 255 closes", exchange(address, "0001 0000 00ff", 1), "")


def bytes_of_rtu(address):
    good, bad = "01 04 0000 0001 31ca", "01 04 0000 0001 31cb"
    answer = "01 04 02 03 e8 b9 8e"
    expect("behind a wrong CRC", exchange(address, bad + good, 7), answer)
    expect("two wrong CRCs close", exchange(address, bad + bad + good, 1), "")
    expect("an unknown function closes", exchange(address, "01 41 00", 1), "")
    expect("half a frame closes", exchange(address, "01 10 0000", 1), "")


async def main(tcp_address, rtu_address, *command):
    clients = {}
    for name, address, framer in (
        ("tcp", tcp_address, FramerType.SOCKET),
        ("rtu", rtu_address, FramerType.RTU),
    ):
        print(name)
        clients[name] = await connect(address, framer)
        await use(clients[name])
    await broadcast(clients["rtu"])
    bytes_of_tcp(tcp_address)
    bytes_of_rtu(rtu_address)

    before = {name: local_address(client) for name, client in clients.items()}
    for name in clients:
        subprocess.run([part.replace("{}", name) for part in command], check=True)

    for name, client in clients.items():
        print(f"{name} after the swap")
        await use(client)
        expect("the same connection", local_address(client) == before[name], True)
        client.close()


asyncio.run(main(*sys.argv[1:]))

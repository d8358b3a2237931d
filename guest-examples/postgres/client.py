"""Uses the server of this example through two libraries, psycopg and asyncpg.

    client.py CONNECTION COMMAND...

CONNECTION is what psql takes, such as "host=127.0.0.1 port=5432 user=ann". The client runs COMMAND
in the middle, and goes on with the same connections and the same prepared statements.
"""

import asyncio
import socket
import struct
import subprocess
import sys
import threading
import time

import asyncpg
import psycopg
from psycopg import conninfo, errors

MOONS = "SELECT name, moons FROM planets WHERE id = %s"


def expect(what, actual, expected):
    if actual != expected:
        sys.exit(f"{what}: {actual!r} instead of {expected!r}")
    print(f"{what}: {actual!r}")


def expect_error(what, error, run):
    try:
        run()
    except error as raised:
        expect(what, raised.sqlstate, error.sqlstate)
    else:
        sys.exit(f"{what}: no error")


def queries(connection):
    expect("encrypted", connection.pgconn.ssl_in_use, True)
    expect("server version", connection.info.parameter_status("server_version"), "15.0 (planets)")
    saturn = connection.execute("SELECT * FROM planets WHERE name = %s", ["Saturn"]).fetchone()
    expect("a row", saturn, (6, "Saturn", 274, 568.3, True, None))
    binary = connection.cursor(binary=True).execute(MOONS, [6]).fetchone()
    expect("a row in binary", binary, ("Saturn", 274))
    none = connection.execute(MOONS, [None]).fetchall()
    expect("nothing is equal to NULL", none, [])
    expect_error(
        "no such table", errors.UndefinedTable, lambda: connection.execute("SELECT * FROM plants")
    )
    expect_error(
        "no copy", errors.FeatureNotSupported, lambda: connection.execute("COPY planets TO STDOUT")
    )


def pipeline(connection):
    with connection.pipeline():
        cursors = [connection.execute(MOONS, [planet]) for planet in (3, 6, 8)]
        expect("a pipeline", [cursor.fetchone()[1] for cursor in cursors], [1, 274, 16])

    def failing():
        with connection.pipeline():
            connection.execute(MOONS, ["no number"])
            connection.execute("NOTIFY news, 'skipped'")

    expect_error("an error in a pipeline", errors.InvalidTextRepresentation, failing)
    with connection.cursor() as cursor:
        cursor.executemany(MOONS, [[planet] for planet in range(1000)])
    print("1000 executions in one group")


def transactions(connection):
    def failing():
        with connection.transaction():
            expect("in a transaction", connection.info.transaction_status.name, "INTRANS")
            expect_error(
                "an error in it",
                errors.UndefinedColumn,
                lambda: connection.execute("SELECT x FROM planets"),
            )
            expect("after the error", connection.info.transaction_status.name, "INERROR")
            connection.execute(MOONS, [3])

    expect_error("a failed transaction", errors.InFailedSqlTransaction, failing)
    expect("after the rollback", connection.info.transaction_status.name, "IDLE")


def pushes(connection, other):
    notices = []
    connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    connection.execute("DO $$ BEGIN RAISE NOTICE 'half done'; END $$")
    expect("notices", notices, ["half done"])
    connection.execute("LISTEN news")
    other.execute("SELECT pg_notify(%s, %s)", ["news", "hello"])
    received = [
        (notify.payload, notify.pid) for notify in connection.notifies(timeout=10, stop_after=1)
    ]
    expect("a notification", [payload for payload, _ in received], ["hello"])
    expect("its sender", [pid for _, pid in received] == [other.info.backend_pid], True)
    connection.execute("UNLISTEN *")


def cancellation(connection):
    def send_wrong_secret():
        """A CancelRequest with the right process number and a guessed secret."""
        address = (connection.info.host, connection.info.port)
        request = struct.pack(">IIII", 16, 80877102, connection.info.backend_pid, 12345)
        with socket.create_connection(address) as stream:
            stream.sendall(request)
            stream.recv(1)

    timer = threading.Timer(0.3, send_wrong_secret)
    timer.start()
    connection.execute("SELECT pg_sleep(1)")
    timer.join()
    print("a wrong secret cancels nothing")

    timer = threading.Timer(0.3, connection.cancel_safe)
    timer.start()
    begun = time.monotonic()
    expect_error(
        "cancelled", errors.QueryCanceled, lambda: connection.execute("SELECT pg_sleep(60)")
    )
    timer.join()
    expect("in time", time.monotonic() - begun < 30, True)


async def with_asyncpg(parameters, swap):
    async def connect(password):
        return await asyncpg.connect(
            host=parameters["host"],
            port=int(parameters["port"]),
            user=parameters["user"],
            password=password,
            database=parameters["dbname"],
            ssl="require",
        )

    try:
        await connect("wrong")
        sys.exit("asyncpg: a wrong password is accepted")
    except asyncpg.InvalidPasswordError as error:
        expect("asyncpg, a wrong password", error.sqlstate, "28P01")
    connection = await connect(parameters["password"])
    query = "SELECT id, name, mass, rings FROM planets WHERE id = $1"
    rows = await connection.fetch(query, 7)
    expect("asyncpg, rows in binary", [tuple(row) for row in rows], [(7, "Uranus", 86.81, True)])
    expect(
        "asyncpg, the first row of all",
        (await connection.fetchrow("SELECT id FROM planets"))["id"],
        3,
    )
    statement = await connection.prepare(query)
    received = asyncio.Queue()
    await connection.add_listener(
        "news", lambda *notification: received.put_nowait(notification[-1])
    )
    await asyncio.to_thread(swap)
    expect("asyncpg, its prepared statement", (await statement.fetchrow(8))["name"], "Neptune")
    await connection.execute("NOTIFY news, 'still listening'")
    expect("asyncpg, a notification", await asyncio.wait_for(received.get(), 10), "still listening")
    await connection.close()


def main():
    connection, *command = sys.argv[1:]
    parameters = conninfo.conninfo_to_dict(connection)
    with (
        psycopg.connect(connection, autocommit=True) as first,
        psycopg.connect(connection, autocommit=True) as second,
    ):
        queries(first)
        pipeline(first)
        transactions(first)
        pushes(first, second)
        cancellation(first)
        first.execute(MOONS, [3], prepare=True)

        def swap():
            print(
                subprocess.run(command, check=True, capture_output=True, text=True).stdout, end=""
            )

        asyncio.run(with_asyncpg(parameters, swap))
        expect(
            "the prepared statement",
            first.execute(MOONS, [8], prepare=True).fetchone(),
            ("Neptune", 16),
        )
        expect("the idle connection", second.execute(MOONS, [6]).fetchone(), ("Saturn", 274))
        expect("still encrypted", first.pgconn.ssl_in_use, True)


main()

"""A charging station, made of the packages `ocpp` and `websockets`: client.py VERSION HOST:PORT

It reports what a station reports, has itself started remotely, and checks every answer. With
`--swap COMMAND`, it runs the command while CALLs of both directions wait for their answers.
"""

import argparse
import asyncio
import json
import logging
import sys

import websockets
from ocpp import exceptions, v16, v201
from ocpp.messages import MessageType
from ocpp.routing import on
from websockets.headers import build_authorization_basic

TAG = "04A1B2C3"
TIME = "2026-03-01T12:00:00Z"

# The longest time to wait for anything, in seconds.
PATIENCE = 120

# The connectors of the station, by what it does when it is to start a transaction there.
READY, ALSO_READY, SILENT, BROKEN = 1, 2, 3, 4


class Station:
    """What a station does in both versions. Mixed into the class `ChargePoint` of a version."""

    def __init__(self, name, connection, swap):
        # A swap compiles the codec first, which takes a while on a busy machine.
        super().__init__(name, connection, response_timeout=PATIENCE)
        self.swap = swap
        self.tasks = set()
        # CALLs of the server that wait for an answer: now, and at most.
        self.waiting = self.most = 0
        self.starts = []
        self.lost = []

    async def route_message(self, raw):
        # `ocpp` reads no further while it handles a CALL. This station does, and counts.
        if json.loads(raw)[0] == MessageType.Call:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
        task = asyncio.create_task(super().route_message(raw))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _send(self, message):
        if json.loads(message)[0] != MessageType.Call:
            self.waiting -= 1
            if self.starts[-1] == SILENT:
                self.lost.append(message)
                return
        await super()._send(message)

    async def start_at(self, connector):
        self.starts.append(connector)
        if connector == BROKEN:
            raise exceptions.NotSupportedError("the connector is broken")
        if self.swap:
            command, self.swap = self.swap, None
            process = await asyncio.create_subprocess_shell(command)
            expect("the swap", await process.wait(), 0)
        await asyncio.sleep(0.2)

    async def ask(self, action, **payload):
        return await self.call(getattr(self._call, action)(**payload), suppress=False)

    async def fails(self, error, action, **payload):
        """Sends a CALL that must fail. `ocpp` itself does not look at the payload."""
        request = getattr(self._call, action)(**payload)
        try:
            await self.call(request, suppress=False, skip_schema_validation=True)
        except error as raised:
            say(f"{action}: {error.code} {raised.description}".rstrip())
            return
        raise AssertionError(f"{action} did not fail")

    async def operator_starts(self, *connectors, seconds=PATIENCE):
        """Has the operator start transactions at these connectors. Returns the outcomes."""
        self.starts, self.most = [], 0
        data = json.dumps({"connectors": connectors, "seconds": seconds})
        answer = await self.ask("DataTransfer", vendor_id="org.example.operator", data=data)
        expect("the order of the starts", self.starts, list(connectors))
        expect("CALLs at a time", self.most, 1)
        return json.loads(answer.data)

    async def is_started_remotely(self):
        swaps = self.swap is not None
        expect("starts", await self.operator_starts(READY, ALSO_READY), ["Accepted", "Accepted"])
        say(
            f"two remote starts{', with a swap in the first one' if swaps else ''}: accepted, one after the other"
        )
        expect("a broken connector", await self.operator_starts(BROKEN), ["501 NotSupported"])
        say("a remote start that the station cannot do: 501 NotSupported")
        outcomes = await self.operator_starts(SILENT, READY, seconds=2)
        expect("a lost answer", outcomes, ["the client did not answer in time", "Accepted"])
        say("a remote start whose answer is lost: given up, and the next one is accepted")
        await self._connection.send(self.lost.pop())
        await self.ask("Heartbeat")
        say("the lost answer comes too late: dropped, and the connection goes on")


class Station16(Station, v16.ChargePoint):
    @on("RemoteStartTransaction")
    async def remote_start(self, id_tag, connector_id):
        expect("the tag", id_tag, TAG)
        await self.start_at(connector_id)
        return v16.call_result.RemoteStartTransaction(status="Accepted")

    async def work(self):
        boot = await self.ask(
            "BootNotification", charge_point_vendor="Vendor", charge_point_model="Model"
        )
        expect("boot", (boot.status, boot.interval), ("Accepted", 300))
        say("BootNotification: Accepted")
        say(f"Heartbeat: {(await self.ask('Heartbeat')).current_time}")
        await self.ask(
            "StatusNotification", connector_id=1, error_code="NoError", status="Available"
        )
        say("StatusNotification: taken")
        for tag, status in ((TAG, "Accepted"), ("00", "Invalid")):
            expect(tag, (await self.ask("Authorize", id_tag=tag)).id_tag_info["status"], status)
        say("Authorize: Accepted, and Invalid for another tag")
        start = await self.ask(
            "StartTransaction", connector_id=1, id_tag=TAG, meter_start=0, timestamp=TIME
        )
        expect("the transaction", start.id_tag_info["status"], "Accepted")
        value = {"timestamp": TIME, "sampledValue": [{"value": "230.1", "measurand": "Voltage"}]}
        transaction = start.transaction_id
        await self.ask(
            "MeterValues", connector_id=1, transaction_id=transaction, meter_value=[value]
        )
        say("StartTransaction, MeterValues: taken")

        await self.fails(
            exceptions.NotImplementedError, "FirmwareStatusNotification", status="Idle"
        )
        await self.fails(exceptions.FormationViolationError, "Authorize", id_tag=None)
        start = {"connector_id": 0, "id_tag": TAG, "meter_start": 0, "timestamp": TIME}
        await self.fails(exceptions.PropertyConstraintViolationError, "StartTransaction", **start)

        await self.is_started_remotely()
        await self.ask("StopTransaction", transaction_id=transaction, meter_stop=42, timestamp=TIME)
        say("StopTransaction: taken")


class Station201(Station, v201.ChargePoint):
    @on("RequestStartTransaction")
    async def remote_start(self, id_token, remote_start_id, evse_id):
        expect("the token", id_token, {"id_token": TAG, "type": "Central"})
        await self.start_at(evse_id)
        return v201.call_result.RequestStartTransaction(status="Accepted")

    async def work(self):
        model = {"model": "Model", "vendor_name": "Vendor"}
        boot = await self.ask("BootNotification", charging_station=model, reason="PowerUp")
        expect("boot", (boot.status, boot.interval), ("Accepted", 300))
        say("BootNotification: Accepted")
        say(f"Heartbeat: {(await self.ask('Heartbeat')).current_time}")
        status = {
            "timestamp": TIME,
            "connector_status": "Available",
            "evse_id": 1,
            "connector_id": 1,
        }
        await self.ask("StatusNotification", **status)
        say("StatusNotification: taken")
        for tag, status in ((TAG, "Accepted"), ("00", "Invalid")):
            token = {"id_token": tag, "type": "ISO14443"}
            expect(
                tag, (await self.ask("Authorize", id_token=token)).id_token_info["status"], status
            )
        say("Authorize: Accepted, and Invalid for another token")
        started = await self.transaction(
            "Started", 0, "Authorized", {"id_token": TAG, "type": "ISO14443"}
        )
        expect("the transaction", started.id_token_info["status"], "Accepted")
        await self.transaction("Updated", 1, "MeterValuePeriodic")
        say("TransactionEvent: Started and Updated are taken")

        await self.fails(
            exceptions.NotImplementedError, "FirmwareStatusNotification", status="Idle"
        )
        await self.fails(exceptions.FormatViolationError, "Authorize", id_token=None)

        await self.is_started_remotely()
        await self.transaction("Ended", 2, "StopAuthorized")
        say("TransactionEvent: Ended is taken")

    async def transaction(self, event, number, reason, token=None):
        payload = {
            "event_type": event,
            "seq_no": number,
            "trigger_reason": reason,
            "timestamp": TIME,
        }
        info = {"transaction_id": "t-1"}
        value = {"timestamp": TIME, "sampled_value": [{"value": 230.1, "measurand": "Voltage"}]}
        return await self.ask(
            "TransactionEvent",
            **payload,
            transaction_info=info,
            id_token=token,
            meter_value=[value],
        )


STATIONS = {
    "1.6": ("CP-1", "correct horse", Station16),
    "2.0.1": ("CP-2", "battery staple", Station201),
}


def say(line):
    print(line, flush=True)


def expect(what, actual, wanted):
    if actual != wanted:
        raise AssertionError(f"{what}: {actual!r}, not {wanted!r}")


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("version", choices=STATIONS)
    parser.add_argument("server", metavar="HOST:PORT")
    parser.add_argument("--swap", metavar="COMMAND")
    arguments = parser.parse_args()
    name, password, station = STATIONS[arguments.version]
    # `ocpp` logs every CALL that fails, also on purpose.
    logging.getLogger("ocpp").setLevel(logging.CRITICAL)
    url = f"ws://{arguments.server}/ocpp/{name}"
    headers = {"Authorization": build_authorization_basic(name, password)}
    subprotocols = [f"ocpp{arguments.version}"]
    async with websockets.connect(url, subprotocols=subprotocols, additional_headers=headers) as connection:
        say(f"connected by {connection.subprotocol}")
        station = station(name, connection, arguments.swap)
        reader = asyncio.create_task(station.start())
        worker = asyncio.create_task(station.work())
        done, _ = await asyncio.wait(
            {reader, worker}, timeout=3 * PATIENCE, return_when=asyncio.FIRST_COMPLETED
        )
        if not done:
            raise AssertionError("no end")
        # If the connection has ended, this raises the reason.
        done.pop().result()
        reader.cancel()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

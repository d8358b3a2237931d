"""Runs the cases of the Autobahn test suite, but for compression, against a server that echoes.

    autobahn.py HOST PORT

Prints a JSON object for each case: its number, and the verdicts on the messages and on the close.
"""

import asyncio
import json
import sys

from kosoku import FailureError, run_fuzzingclient

COMPRESSION = ["12.*", "13.*"]

# In seconds. Some cases send 16 MiB.
PATIENCE = 300


async def main():
    host, port = sys.argv[1:]
    try:
        run = run_fuzzingclient(f"ws://{host}:{port}", exclude_cases=COMPRESSION)
        results = await asyncio.wait_for(run, PATIENCE)
    except FailureError as failure:
        results = failure.results
    for result in results:
        verdicts = [result.behavior.value, result.behavior_close.value]
        print(json.dumps({"case": result.case_id, "verdicts": verdicts, "result": result.result}))


asyncio.run(main())

"""Runs all cases of the Autobahn test suite against a server that echoes.

    autobahn.py HOST PORT

Prints a JSON object for each case: its number, the titles of its section, and the verdicts on the
messages and on the close, with the suite's reasons.
"""

import asyncio
import json
import sys

from kosoku import FailureError, run_fuzzingclient
from kosoku._report_assets import CaseCategories, CaseSubCategories

# In seconds. Some cases send 16 MiB.
PATIENCE = 300


async def main():
    host, port = sys.argv[1:]
    try:
        run = run_fuzzingclient(f"ws://{host}:{port}")
        results = await asyncio.wait_for(run, PATIENCE)
    except FailureError as failure:
        results = failure.results
    for result in results:
        category, section = result.case_id.split(".")[:2]
        titles = [CaseCategories[category]]
        if title := CaseSubCategories.get(f"{category}.{section}"):
            titles.append(title)
        line = {
            "case": result.case_id,
            "titles": titles,
            "messages": result.behavior.value,
            "close": result.behavior_close.value,
            "reasons": [result.result, result.result_close],
        }
        print(json.dumps(line))


asyncio.run(main())

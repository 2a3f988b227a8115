"""python-eql behind a pipe: one JSON document a line in, one a line out.

In: {"rules": [...]}, {"check": [...], "measure": [...]}, then {"run": set, "count": n} again and again.
Out: {"version", "load"} after the rules, {} after the events, {"seconds", "hits"} after each run.
"""

import json
import sys
import time

import eql


def read():
    return json.loads(sys.stdin.readline())


def write(answer):
    print(json.dumps(answer), flush=True)


def main():
    rules = read()["rules"]
    hits = []
    start = time.perf_counter()
    analytics = [
        eql.parse_analytic({"metadata": {"id": str(number), "name": str(number)}, "query": rule})
        for number, rule in enumerate(rules)
    ]
    engine = eql.engine.PythonEngine({"print": False})
    engine.add_analytics(analytics)
    engine.add_output_hook(hits.append)
    write({"version": eql.__version__, "load": time.perf_counter() - start})

    documents = read()
    sets = {
        name: [eql.events.Event("process", number, document) for number, document in enumerate(documents[name])]
        for name in ("check", "measure")
    }
    write({})

    for line in sys.stdin:
        wanted = json.loads(line)
        events = sets[wanted["run"]][: wanted["count"]]
        hits.clear()
        stream = engine.stream_event
        start = time.perf_counter()
        for event in events:
            stream(event)
        seconds = time.perf_counter() - start
        write({"seconds": seconds, "hits": [[found.events[0].time, int(found.analytic_id)] for found in hits]})


main()

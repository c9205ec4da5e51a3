"""Records what croniter answers, as the table events/src/domain/recurrence/croniter.tsv.

    python3 -m venv /tmp/croniter
    /tmp/croniter/bin/pip install croniter==6.2.4 python-dateutil==4.0.0 tzdata==2026.6
    /tmp/croniter/bin/python tests/croniter/make_table.py > events/src/domain/recurrence/croniter.tsv

Same seed, same table. croniter 6.2.4 is what LangFlow schedules with. The test that reads the table
(events/src/domain/recurrence/croniter.rs) says where Spark answers otherwise on purpose.

A line is: expression, zone, start (seconds from the epoch), and the distances from the start to the
next instant, from there to the one after it, and so on. Expressions are written Spark's way: croniter
has seconds last and writes the last Friday `L5`; Spark has seconds first and writes `5L`.
"""

import random
import signal
import sys
import zoneinfo
from datetime import datetime, timezone
from importlib.metadata import version

from croniter import croniter
from croniter.croniter import CroniterError

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 20260308
ROWS = 2_000
INSTANTS = 5
ZONES = {
    "UTC": [],
    "Asia/Kolkata": [],
    "America/New_York": ["2026-03-08T07:00Z", "2026-11-01T06:00Z", "2025-03-09T07:00Z"],
    "Europe/London": ["2026-03-29T01:00Z", "2026-10-25T01:00Z"],
    "Australia/Lord_Howe": ["2026-04-04T15:00Z", "2026-10-03T15:30Z"],
    "America/Sao_Paulo": ["2018-11-04T03:00Z", "2018-02-18T02:00Z"],
    "Pacific/Apia": ["2011-12-30T10:00Z", "2011-09-24T14:00Z", "2012-03-31T14:00Z"],
}


def field(pick, low, high, often):
    """One field: a star, a favourite, a step, a value, a range or a list."""
    a, b = sorted((pick.randint(low, high), pick.randint(low, high)))
    step = pick.randint(2, max(2, (high - low + 1) // 2))
    return pick.choice(
        [
            "*",
            pick.choice(often),
            pick.choice(often),
            f"*/{step}",
            str(a),
            f"{a}-{b}",
            f"{a}-{b}/{step}" if b > a else str(a),
            ",".join(str(n) for n in sorted(pick.sample(range(low, high + 1), 3))),
        ]
    )


def days(pick):
    """Day of month, month and day of week, both ways of writing."""
    kind = pick.randint(0, 11)
    if kind < 5:
        return ("* * *",) * 2
    if kind < 7:
        dow = pick.choice(["MON-FRI", "0", "7", "6", "1,3,5", "*/2", "SUN", "tue"])
        return (f"* * {dow}",) * 2
    if kind < 9:
        dom = pick.choice(["1", "15", "L", "1-7", "*/3", "29", "31", "8,22"])
        return (f"{dom} {pick.choice(['*', '*', '3', '11', '2-4', '*/3', 'oct'])} *",) * 2
    if kind < 10:
        day, nth = pick.randint(0, 6), pick.randint(1, 5)
        return (f"* * {day}#{nth}",) * 2
    if kind < 11:
        day = pick.randint(0, 6)
        return f"* * L{day}", f"* * {day}L"
    return (f"{pick.choice(['1', '13', '1-7', '*/2'])} * {pick.choice(['5', '1', '1-5'])}",) * 2


def row(pick):
    zone = pick.choice([*ZONES, "America/New_York", "Europe/London"])
    changes = ZONES[zone]
    if changes and pick.random() < 0.6:
        change = int(datetime.fromisoformat(pick.choice(changes)).timestamp())
        start = change + pick.choice([pick.randint(-90_000, 7_200), pick.randint(-7_200, 3_600)])
    else:
        start = pick.randint(1_325_376_000, 1_798_761_600)
    minute = field(pick, 0, 59, ["0", "30", "*/15", "*/5", "15,45"])
    hour = field(pick, 0, 23, ["0", "1", "2", "3", "1-3", "9", "*/2", "0-23", "23"])
    theirs, ours = days(pick)
    theirs, ours = f"{minute} {hour} {theirs}", f"{minute} {hour} {ours}"
    if pick.random() < 0.25:
        second = field(pick, 0, 59, ["0", "30", "*/20"])
        theirs, ours = f"{theirs} {second}", f"{second} {ours}"
    walk = croniter(theirs, datetime.fromtimestamp(start, zoneinfo.ZoneInfo(zone)))
    instants = [start]
    for _ in range(INSTANTS):
        instants.append(int(walk.get_next(datetime).astimezone(timezone.utc).timestamp()))
    distances = [str(b - a) for a, b in zip(instants, instants[1:])]
    return "\t".join([ours, zone, str(start), *distances])


def main():
    # The zone data of the package, not the machine's.
    zoneinfo.reset_tzpath(to=())
    # croniter may search without an end; such a row would make no table.
    signal.alarm(600)
    print(f"# seed {SEED}, croniter {version('croniter')}, tzdata {version('tzdata')}")
    pick, rows = random.Random(SEED), 0
    while rows < ROWS:
        try:
            print(row(pick))
        except CroniterError:
            continue
        rows += 1


main()

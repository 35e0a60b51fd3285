"""The answer of `delay-stats`, by other means: the standard library over the same CSV. Prints JSON.

    flights_oracle.py FLIGHTS.csv.gz MINIMUM_FLIGHTS

{"carriers": {code: [flights, mean delay]}, "worst_routes": [[route, mean delay], ...]}. Flights counts all rows; means
are of the rows that have a departure delay, in minutes to one decimal, as text. Of the routes with MINIMUM_FLIGHTS or
more the ten with the greatest means, equal ones by name.
"""

import collections
import csv
import gzip
import json
import sys

path, minimum_flights = sys.argv[1], int(sys.argv[2])
flights, delays = collections.Counter(), collections.defaultdict(list)
with gzip.open(path, "rt", newline="") as file:
    for row in csv.DictReader(file):
        for group in (("carrier", row["carrier"]), ("route", row["origin"] + "-" + row["dest"])):
            flights[group] += 1
            if row["dep_delay"] != "NA":
                delays[group].append(int(row["dep_delay"]))

mean = {group: sum(minutes) / len(minutes) for group, minutes in delays.items()}
carriers = {name: [count, f"{mean[kind, name]:.1f}"] for (kind, name), count in flights.items() if kind == "carrier"}
routes = [group for group, count in flights.items() if group[0] == "route" and count >= minimum_flights and group in mean]
worst = sorted(routes, key=lambda group: (-mean[group], group))[:10]
json.dump({"carriers": carriers, "worst_routes": [[route, f"{mean[kind, route]:.1f}"] for kind, route in worst]}, sys.stdout)

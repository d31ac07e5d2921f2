"""The atlas of shallow networks: time per region, with exact rank and a network of each.

python benchmarks/atlas.py

Seconds are of this process, so that other programs matter little. Regions are counted up to the
order of units, as they are enumerated.
"""

import random
import resource
import time

import machine

import exactdim as ed

CASES = [
    # widths, samples
    ((1, 2, 1), 8), ((1, 3, 1), 8), ((1, 4, 1), 8), ((1, 5, 1), 8), ((1, 7, 1), 8),
    ((2, 2, 1), 6), ((2, 3, 1), 6), ((2, 4, 1), 6),
    ((3, 2, 1), 6), ((3, 3, 1), 6),
    ((3, 1, 1), 10), ((3, 1, 1), 20), ((3, 1, 1), 40), ((3, 1, 1), 68),
    ((2, 2, 2), 6), ((2, 3, 2), 6),
]  # fmt: skip


def main() -> None:
    results = []
    for widths, n in CASES:
        rng = random.Random(0)
        X = [[rng.randint(-999, 999) for _ in range(widths[0])] for _ in range(n)]
        start = time.process_time()
        atlas = ed.parameter_regions(widths, X)
        histogram = atlas.histogram()
        ranks = time.process_time()
        witnesses = sum(region.witness.n_hidden for region in atlas) // widths[1]
        end = time.process_time()
        assert witnesses == atlas.n_orbits
        results.append({
            "widths": widths,
            "samples": n,
            "orbits": atlas.n_orbits,
            "regions": atlas.n_regions,
            "seconds_ranks": round(ranks - start, 2),
            "seconds_witnesses": round(end - ranks, 2),
            "microseconds_per_orbit": round((end - start) / atlas.n_orbits * 1e6),
            "full_rank": str(atlas.full_rank_fraction),
            "histogram": histogram,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        })
        print(results[-1], flush=True)
    machine.save("atlas", results)


if __name__ == "__main__":
    main()

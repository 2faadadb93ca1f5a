"""The accuracy tables: the throughput model beside public figures and a simulated scheduler, calibration, latency.

Every table is computed anew and takes its old place in docs/throughput-model.md and docs/latency.md. Those that rest on
the shared collection of measured points are left as they are where it is absent.

Run: make bench, or python benchmarks/bench_accuracy.py. Writes benchmarks/results/accuracy.json.
"""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness import Stopwatch, describe_machine, write_results

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))


def replaced(page: str, table: str) -> str:
    """`page` with `table` in place of the one with the same header whose rows are most alike."""
    header, lines, new = table.splitlines()[0], page.splitlines(), table.strip("\n").splitlines()
    names = {row.split("|")[1].strip() for row in new[2:]}
    found: list[tuple[int, int, int]] = []
    for start, line in enumerate(lines):
        if line == header:
            stop = start
            while stop < len(lines) and lines[stop].startswith("|"):
                stop += 1
            alike = len(set(new) & set(lines[start:stop]))
            same = len(names & {row.split("|")[1].strip() for row in lines[start + 2 : stop]})
            found.append((alike + same, start, stop))
    if not found:
        raise SystemExit(f"no table with the header {header!r}")
    _, start, stop = max(found)
    return "\n".join([*lines[:start], *new, *lines[stop:]]) + "\n"


def write_tables(page: Path, tables: list[str]) -> None:
    """Put `tables` in their places in a page."""
    text = page.read_text()
    for table in tables:
        text = replaced(text, table)
    page.write_text(text)


def main() -> None:
    """Compute, print and write every table."""
    from tests.profile import doc_tables, held_out, latency_comparison, saturation_comparison
    from tests.profile.public_figures import COLLECTION

    from cuvee.profile.measurements import load_measurements
    from cuvee.profile.scoring import score

    tables = [doc_tables.constants_table(), doc_tables.ablation_table()]
    tables += [doc_tables.requests_per_dollar_table(model) for model in ("llama-3-70b", "llama-3-8b")]
    tables.append(saturation_comparison.saturation_table())
    record: dict[str, Any] = {"machine": describe_machine()}
    with Stopwatch() as watch:
        if COLLECTION.is_file():
            tables += [doc_tables.error_table(), held_out.held_out_table("trtllm-0.14")]
            found = score(load_measurements(COLLECTION))
            record["groups"] = {
                group: asdict(errors) | {"order": asdict(found.ordering(group))}
                for group in found.groups
                if (errors := found.errors("rate", group))
            }
        else:
            sys.stderr.write("measured_throughput.csv is not in ../shared/data/figures: its tables stay as they are\n")
        write_tables(ROOT / "docs" / "throughput-model.md", tables)
        write_tables(ROOT / "docs" / "latency.md", [latency_comparison.comparison_table()])
    record["seconds"] = watch.seconds
    sys.stdout.write("\n\n".join(tables) + "\n")
    write_results("accuracy", record)


if __name__ == "__main__":
    main()

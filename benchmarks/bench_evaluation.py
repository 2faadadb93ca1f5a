"""A short evaluation: our plan beside every other way, on one stock and one budget, planned and played.

Run: make bench, or python benchmarks/bench_evaluation.py [--quick]. The same settings with the same options:
cuvee evaluate paper --quick. Writes benchmarks/results/evaluation.json.
"""

import argparse

from rich.console import Console

from cuvee.evaluate.evaluation import evaluate, requests_by_name
from cuvee.evaluate.grid import QUICK, chosen, quick_grid
from cuvee.report.evaluation_console import evaluation_record, print_evaluation
from cuvee.simulate.simulation import warm_up
from harness import Stopwatch, describe_machine, write_results


def main() -> None:
    """Every setting, and the tables of gains, printed and kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only Llama-3 70B")
    settings = chosen(quick_grid(), ["70b/*"] if parser.parse_args().quick else [])
    warm_up()
    with Stopwatch() as watch:
        results = evaluate(settings, requests_by_name(()), QUICK, keep=lambda line: print(line, flush=True))
    print_evaluation(results, len(settings), Console(width=120))
    summaries = {name: part for name, part in evaluation_record(results).items() if name != "settings"}
    write_results("evaluation", {"machine": describe_machine(), "seconds": watch.seconds, **summaries})


if __name__ == "__main__":
    main()

"""What of a table of rates a question has no use for: rows left out on reading, and rows of nothing that is asked."""

from collections import Counter
from collections.abc import Iterable, Sequence

from cuvee.profile.measured import ROUNDING, MeasuredRate, TableProvider, model_key
from cuvee.profile.table import ThroughputTable
from cuvee.units import plural


def notes_on_use(table: TableProvider, asked: Sequence[ThroughputTable], gpus: Iterable[str]) -> tuple[str, ...]:
    """What was left out of `table`, and how many rows speak of nothing that is asked, with the reason, one a line.

    Parameters
        asked    Throughput of the candidates on the workload types, one table for each model.
        gpus     GPU types on offer.
    """
    models = {model_key(config.model) for each in asked for config in each.configs[:1]}
    offered, kinds = set(gpus), [kind for each in asked for kind in each.workloads]
    placed = {rate for each in asked for rate in table.lines_of(each.configs)}

    def reason(rate: MeasuredRate) -> str:
        if rate.model not in models:
            return f"model {rate.model}"
        if missing := sorted({gpu for gpu, _ in rate.stages} - offered):
            return f"{', '.join(missing)} not on offer"
        if rate not in placed:
            return f"no candidate is {rate.precision} on {' | '.join(f'TP{size} {gpu}' for gpu, size in rate.stages)}"
        if rate.workload or any(rate.distance(kind) <= table.length_tolerance + ROUNDING for kind in kinds):
            return ""
        return f"lengths more than {table.length_tolerance:.0%} from those of every workload type"

    unused = Counter(filter(None, map(reason, table.rates)))
    told = (f"{plural(count, 'row')} of nothing that is asked: {why}" for why, count in unused.most_common())
    return tuple(f"{table.name}: {note}" for note in (*table.notes, *told))

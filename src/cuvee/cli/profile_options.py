"""The options of `cuvee profile`: what serves, what is asked of it, how to measure, and what may be sent."""

from pathlib import Path
from typing import Annotated

import typer

SECONDS_A_TYPE = 600.0
"""Most time for each workload type where --max-seconds says nothing [s]."""

Url = Annotated[str, typer.Argument(metavar="URL", help="OpenAI-compatible endpoint, e.g. http://localhost:8000.")]
Save = Annotated[
    Path, typer.Option("--save", "-o", metavar="FILE", help="Table (CSV) of measured points; its record beside it.")
]
Gpu = Annotated[str | None, typer.Option(help="GPU type that serves; `cuvee gpus` lists them.")]
Tp = Annotated[int | None, typer.Option(help="GPUs over which each layer is split.")]
Pp = Annotated[int | None, typer.Option(help="Pipeline stages; default: 1.")]
Replicas = Annotated[int | None, typer.Option(help="Replicas behind the address; default: 1.")]
Model = Annotated[str | None, typer.Option(help="Model; default: the name the server gives it.")]
Engine = Annotated[str | None, typer.Option(help="Serving engine, where the server does not say.")]
EngineVersion = Annotated[str | None, typer.Option(help="Its version, in the same case.")]
Weights = Annotated[str | None, typer.Option(help="Precision of the weights; default: as released.")]
Kv = Annotated[str | None, typer.Option(help="Precision of the cache; default: bf16.")]
Setup = Annotated[Path | None, typer.Option(metavar="FILE", help="The same by name (YAML), as for cuvee import.")]
Trace = Annotated[str | None, typer.Option(metavar="FILE", help="Request trace, as `cuvee plan` takes it.")]
Mix = Annotated[str | None, typer.Option(help="trace-1, trace-2, trace-3, or a mix file (CSV, YAML).")]
Types = Annotated[
    int | None, typer.Option(help="Workload types chosen from the trace's lengths; default: nine fixed cells.")
]
Lengths = Annotated[
    list[str] | None,
    typer.Option(metavar="INxOUT", help="One workload type by its lengths, e.g. 2455x510; repeatable."),
]
ServedName = Annotated[str | None, typer.Option(help="Model to name in requests, where several are.")]
Api = Annotated[str | None, typer.Option(metavar="completions|chat", help="Which API to call; default: completions.")]
Prompts = Annotated[
    str | None,
    typer.Option(metavar="auto|tokens|text", help="Token ids, text, or ids where the server takes them (auto)."),
]
ApiKeyEnv = Annotated[str | None, typer.Option(metavar="NAME", help="Environment variable that holds the API key.")]
Within = Annotated[
    float | None, typer.Option(help="Half-width of a rate's 95 % interval at which to stop; default: 0.05.")
]
LatencyWithin = Annotated[float | None, typer.Option(help="The same of the mean time of a request; default: 0.1.")]
Loads = Annotated[
    str | None,
    typer.Option(help="Shares of the saturated rate whose latency to measure, or none; default: 0.25,0.5,0.7,0.85."),
]
MaxRequests = Annotated[int | None, typer.Option(help="Most requests to send, earlier runs included.")]
MaxTokens = Annotated[int | None, typer.Option(help="Most tokens, prompts and answers together.")]
MaxSeconds = Annotated[
    float | None, typer.Option(help=f"Most time to send in [s]; default: {SECONDS_A_TYPE:g} for each type.")
]
MaxConcurrency = Annotated[int | None, typer.Option(help="Most requests under way at once; default: 1024.")]
LeastWindow = Annotated[float | None, typer.Option(help="Shortest steady window [s]; default: 10.")]
Timeout = Annotated[float | None, typer.Option(help="Longest wait for the next byte of an answer [s]; default: 300.")]
Seed = Annotated[int | None, typer.Option(help="Of arrival times; default: 0.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and send nothing.")]
Force = Annotated[bool, typer.Option("--force", help="Begin anew, and overwrite the files.")]

"""``zoobench encode``: a trained encoder turns the networks of a zoo into vectors.

Only the verb is here, which every start of the command line loads; ``encoding`` has the work, and needs torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoobench.cli.parts import needs
from zoobench.zoos import resolve

app = typer.Typer(invoke_without_command=True)


@app.callback()
def encode(
    model: Annotated[Path, typer.Option(help="Folder that zoobench run comvex --save wrote.")],
    zoo: Annotated[str, typer.Option(help="Zoo whose networks to encode.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
) -> None:
    """Encode the networks of a zoo: example_id, the whole vector z, and one vector per layer where there are some.

    Example: zoobench encode --model model --zoo small-cnn-zoo-lite/mnist --out z.parquet
    """
    from zoobench.cli import progress
    from zoobench.data import hub

    with needs("torch", "baselines"):
        from .encoding import encoded, load_encoder, write_encoded
    with progress.spinner("encoding"):
        networks = hub.load_split(resolve(zoo), split)
        table = encoded(load_encoder(model), networks)
        write_encoded(table, out)
    typer.echo(f"wrote {table.num_rows:,} vectors of {networks.zoo.id} ({split}) to {out}")

"""The command that serves faces over HTTP."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

Models = Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[MODEL ...]")]


@dataclass(frozen=True)
class Studio:
    """Serve a page and an HTTP interface that generate faces.

    A run folder gets a live page too, with its curves and sample grids while it trains.

    The address /openapi.json describes the interface. A server that other machines can reach (--host) requires a token:
    as the first part of every path, or as the header Authorization: Bearer TOKEN. The server speaks HTTP without
    encryption; put it behind a proxy with TLS on networks that you do not trust.
    """

    models: Models = ()
    """Run folders, .safetensors or .onnx files, or models on the Hugging Face Hub as hf:user/model. Default: the
    packaged generator."""
    port: int = 7860
    """Port of the server; 0 = any free port."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 = all addresses of this machine."""
    token_file: Path | None = None
    """File with the token: one line of 16 to 200 letters, digits, dashes and underscores. Default: a new token if other
    machines can reach the server, otherwise none."""
    ratings: Path = Path("ratings")
    """Folder for ratings (ratings.sqlite), as of nijigan rate. It is created for the first rating."""
    most_faces: int = 256
    """Most faces in one request, 1 to 4096."""

    def run(self) -> None:
        """Serve until Ctrl-C."""
        from nijigan.errors import check
        from nijigan.rate.listening import choose_token, listen
        from nijigan.studio.server import Limits, Studio, open_models, serve, split_runs

        check(1 <= self.most_faces <= 4096, f"--most-faces is {self.most_faces}; choose 1 to 4096.")
        token = choose_token(self.host, self.token_file)
        with listen(self.port, self.host) as listener:  # a port in use is told before models are opened
            models, runs = split_runs(self.models)
            studio = Studio(open_models(models), self.ratings, limits=Limits(faces=self.most_faces), runs=runs)
            serve(studio, listener, self.host, token)

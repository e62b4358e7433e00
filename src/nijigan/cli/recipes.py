"""Commands that show what can be trained: the recipes, their networks, and the studies behind some of them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import Positional

from nijigan.errors import UserError
from nijigan.recipe.named_recipes import RECIPES, find_recipe
from nijigan.recipe.recipe import Recipe
from nijigan.recipe.studies import STUDIES, as_record, find_study, here
from nijigan.terminal import styled

if TYPE_CHECKING:
    from nijigan.networks.layers import Layer  # imports torch


@dataclass(frozen=True)
class Recipes:
    """List the named recipes, or show one: its settings, or its networks layer by layer."""

    recipe: Annotated[Positional[str | None], tyro.conf.arg(metavar="[RECIPE]")] = None
    """A name from the list, or the path of a recipe's JSON file. Default: list all."""
    layers: bool = False
    """Print both networks of RECIPE layer by layer: output, parameters, operations."""
    figure: Path | None = None
    """Draw both networks of RECIPE side by side into this .svg file. Default: no figure."""
    overwrite: bool = False
    """Replace an existing file at --figure."""
    json: bool = False
    """Print as JSON: all fields of all recipes, or of RECIPE; with --layers, its layers."""

    def run(self) -> None:
        """Print what was asked for."""
        if self.overwrite and not self.figure:
            raise UserError("--overwrite is for the file of --figure; name it: --figure net.svg.")
        if self.recipe is None:
            if self.layers or self.figure:
                raise UserError(
                    "--layers and --figure show one recipe; name it, such as: nijigan recipes dcgan --layers"
                )
            self._list()
            return
        recipe = find_recipe(self.recipe)
        if not (self.layers or self.figure):
            _print_settings(recipe, as_json=self.json)
            return
        if self.figure and self.figure.exists() and not self.overwrite:
            raise UserError(f"{self.figure} exists; choose another name, or use --overwrite.")
        networks, note = _networks(recipe)
        if self.layers and self.json:
            print(
                json.dumps({name: [asdict(layer) for layer in layers] for name, layers in networks.items()}, indent=2)
            )
        elif self.layers:
            _print_layers(networks, note)
        if self.figure:
            from nijigan.export.network_figure import draw_networks

            draw_networks(recipe.name, networks, self.figure)
            if not self.layers:
                print(json.dumps(str(self.figure)) if self.json else self.figure)

    def _list(self) -> None:
        if self.json:
            print(json.dumps({name: asdict(recipe) for name, recipe in RECIPES.items()}, indent=2))
            return
        from rich.table import Table

        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
        for title in ("recipe", "px", "network", "loss", "lr/1e-4", "batch", "kimg"):
            table.add_column(title, no_wrap=True)
        for recipe in RECIPES.values():
            penalty = "clip" if recipe.clip else recipe.penalty.kind
            condition = "none" if "condition" in recipe.derived else recipe.condition.kind
            parts = [recipe.objective, penalty, condition]
            length = f"{recipe.kimg:g}" if recipe.epochs is None else f"{recipe.epochs:g} ep."
            table.add_row(
                recipe.name, str(recipe.resolution), recipe.generator.kind,
                " ".join(part for part in parts if part not in ("auto", "none")),
                _optimizers(recipe), str(recipe.batch_size),
                "derived" if "kimg" in recipe.derived else length,
            )  # fmt: skip
        styled().print(table)
        print(
            "lr: that of G, or of G/D. kimg: length in thousands of images, or in passes over the faces (ep.).\n"
            "On a CPU, begin with sngan-hinge-small, or with niji if there are labels. All: docs/recipes.md."
        )


def _optimizers(recipe: Recipe) -> str:
    """The optimizers and their learning rates in ten-thousandths: `adam 2`, `adam 1/4`, `adam 2/sgd 50`."""
    g, d = recipe.g_optimizer, recipe.d_optimizer
    if g.kind != d.kind:
        return f"{g.kind} {g.lr * 1e4:g}/{d.kind} {d.lr * 1e4:g}"
    return f"{g.kind} " + "/".join(dict.fromkeys(f"{one.lr * 1e4:g}" for one in (g, d)))


def _print_settings(recipe: Recipe, as_json: bool) -> None:
    """All fields by the names that the options of `nijigan train` have."""
    if as_json:
        print(json.dumps(asdict(recipe), indent=2))
        return
    derived = ", ".join(name.replace("_", "-") for name in recipe.derived)
    if derived:
        print(f"From the resolution, the faces and their labels follow: {derived}. Below is what 10,000 faces give.")
    for name, value in asdict(recipe).items():
        if name == "derived":  # said above
            continue
        for field, setting in value.items() if isinstance(value, dict) else [("", value)]:
            option = f"{name}.{field}" if field else name
            print(f"{option.replace('_', '-'):32}{setting}")


def _networks(recipe: Recipe) -> tuple[dict[str, "Sequence[Layer]"], str]:
    """Generator and discriminator, layer by layer, and what a reader should know about them."""
    from nijigan.assets import packaged_vocabulary
    from nijigan.training.state import layers_of

    attributes, note = {}, ""
    if recipe.condition.kind != "none":
        vocabulary = packaged_vocabulary()
        attributes = {name: vocabulary.get(name, ["a", "b"]) for name in recipe.attributes or vocabulary}
        recipe = replace(recipe, attributes=tuple(attributes))
        values = ", ".join(f"{len(values)} values of {name}" for name, values in attributes.items())
        note = f"With {values}, as an example: a dataset has its own."
    if recipe.projected.weight:
        note += " " * bool(note) + "The projected discriminator, small heads on the features of Lite0, is not listed."
    generator, discriminator = layers_of(recipe, attributes)
    return {"Generator": generator, "Discriminator": discriminator}, note


def _print_layers(networks: dict[str, "Sequence[Layer]"], note: str) -> None:
    from rich.table import Table

    from nijigan.export.network_figure import shown, totals

    for heading, layers in networks.items():
        table = Table(box=None, padding=(0, 1, 0, 0), title=f"{heading}: {totals(layers)}", title_justify="left")
        table.add_column("layer", overflow="fold")
        table.add_column("what", overflow="fold")
        for title in ("output", "parameters", "MFLOP"):
            table.add_column(title, justify="right", no_wrap=True)
        for layer in layers:
            cost = f"{layer.operations / 1e6:,.2f}" if layer.operations else ""
            parameters = f"{layer.parameters:,}" if layer.parameters else ""
            table.add_row(layer.name, layer.kind, shown(layer.output), parameters, cost)
        styled().print(table)
        print()
    print(f"{note} One operation is a multiplication or an addition.".strip())


@dataclass(frozen=True)
class Papers:
    """Print what the five student studies claim, what we measured, and what we changed; or show a study from a run."""

    study: Annotated[Positional[str | None], tyro.conf.arg(metavar="[STUDY]")] = None
    """menon-dubey, anik, chen-ning-lin, ti-wen-chen or walia, or one of their recipes. Default: all."""
    run_folder: Annotated[Path | None, tyro.conf.arg(name="run", metavar="RUN")] = None
    """A run of the study's recipe. From it, a page shows the study's table, curves and pictures by epoch. Default: no
    page."""
    out: Path | None = None
    """The page, .html. Default: STUDY.html."""
    overwrite: bool = False
    """Replace a file at --out that is not such a page."""
    json: bool = False
    """Print as JSON."""

    def run(self) -> None:
        """Print the studies, or write the page of one."""
        if self.run_folder is not None:
            self._write_page(self.run_folder)
            return
        if self.out is not None or self.overwrite:
            raise UserError("--out and --overwrite are for the page of a run; name the run: --run RUN.")
        studies = STUDIES if self.study is None else (find_study(self.study),)
        if self.json:
            print(json.dumps([as_record(study) for study in studies], indent=2))
            return
        from rich.table import Table

        console = styled()
        for study in studies:
            console.print(f"[bold]{study.authors}[/] · {study.title}", highlight=False)
            console.print(f"Recipes: {', '.join(study.recipes)}", highlight=False)
            table = Table(box=None, padding=(0, 2, 0, 0), show_lines=True)
            table.add_column("claimed", ratio=1)
            table.add_column("here", ratio=1)
            for claim in study.claims:
                table.add_row(claim.claimed, "\n".join(here(study, claim)))
            console.print(table)
            console.print(f"Changes: {study.changed}\n", highlight=False)

    def _write_page(self, folder: Path) -> None:
        from nijigan.pages.layout import check_page_place
        from nijigan.pages.study import write_study

        if self.json:
            raise UserError("The page of a run is HTML; remove --json.")
        if self.study is None:
            raise UserError("Name the study of the run, such as: nijigan papers anik --run runs/anik")
        study = find_study(self.study)
        out = self.out or Path(f"{study.name}.html")
        check_page_place(out, self.overwrite)
        write_study(study, folder, out)
        print(out)

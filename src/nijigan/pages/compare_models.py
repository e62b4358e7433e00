"""Compare models in one call: evaluate each by the same protocol, then write the page."""

from collections.abc import Sequence
from pathlib import Path

from nijigan.aliases import Progress
from nijigan.dataset.faces import FaceDataset
from nijigan.judges.evaluation import check_number
from nijigan.judges.feature_spaces import DEFAULT, FeatureSpace, open_feature_space
from nijigan.judges.real import check_judgeable
from nijigan.pages.comparison import write_comparison
from nijigan.pages.layout import check_page_place
from nijigan.pages.models import common_reader, dataset_of, evaluated, existing_models, headers_of
from nijigan.pages.report import model_name


def compare(
    models: Sequence[str | Path],
    out: str | Path,
    *,
    dataset: FaceDataset | None = None,
    split: str = "val",
    n: int = 5000,
    features: str | FeatureSpace = DEFAULT,
    device: str = "cpu",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Evaluate models on the same latents and real faces, and write a page that ranks them.

    Args:
        models: run folders, `.safetensors` files or `hf:user/model`. The scores of a run are kept in its folder
            and reused.
        out: the page, an .html file.
        dataset: the real faces. Default: those that the first run was trained on.
        split: val or test.
        n: faces to generate with each model, 100 to 100,000.
        features: the feature space or its name.
        device: device for the generators.
        overwrite: replace a file at `out` even if it is not a page that nijigan wrote.
        progress: called with (done, total) at each stage.

    Returns:
        `out`.

    Raises:
        UserError: a model is missing or named twice, resolutions differ, a number is out of range, the feature space is
            unknown, a split has too few faces, or `out` is another file. All are found before the first evaluation.
    """
    out = Path(out)
    check_page_place(out, overwrite)
    check_number(n)
    paths = existing_models([str(model) for model in ([models] if isinstance(models, str | Path) else models)])
    dataset = dataset or dataset_of(paths)
    headers = headers_of(paths)
    space = features if isinstance(features, FeatureSpace) else open_feature_space(features, headers[0].resolution)
    check_judgeable(dataset, split)  # before a reader is trained
    reader = common_reader(headers, dataset, progress)
    names = [model_name(path) for path in paths]
    entries = [
        evaluated(
            path, dataset, name=name if names.count(name) == 1 else path, split=split, n=n, features=space,
            reader=reader, device=device, progress=progress,
        )
        for path, name in zip(paths, names, strict=True)
    ]  # fmt: skip
    write_comparison(entries, out)
    return out

"""Which way a metric is better: known of what metrics are commonly called, and of nothing else."""

from __future__ import annotations

import re

_LESS = frozenset(
    "loss error err mae mse rmse rmsle mape smape msle mdae wer cer ter perplexity ppl fid eer brier logloss nll ce "
    "bce kl hinge deviance aic bic latency".split()
)
_MORE = frozenset(
    "accuracy acc auc auroc auprc ap map precision recall sensitivity specificity f1 fbeta r2 kappa mcc iou miou dice "
    "jaccard bleu rouge meteor ndcg mrr psnr ssim reward score gini throughput".split()
)
_PARTS = re.compile(r"[^a-z0-9]+")


def lower_is_better(key: str) -> bool | None:
    """Tell whether less of a metric is better; ``None`` where its name does not say.

    Args:
        key: The metric's name, such as ``val/rmse`` or ``test_accuracy_score``.
    """
    from toolkit.models.evaluation.metric import GREATER_IS_BETTER  # noqa: PLC0415 - when metrics are shown

    leaf = key.rpartition("/")[2].rpartition(".")[2].lower()
    if leaf in GREATER_IS_BETTER:
        return not GREATER_IS_BETTER[leaf]
    words = [word for word in _PARTS.split(leaf) if word]
    less, more = any(word in _LESS for word in words), any(word in _MORE for word in words)
    return less if less != more else None

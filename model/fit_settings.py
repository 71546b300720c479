"""How to fine-tune: every number that a fit depends on, with its default."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FitSettings:
    """How to fine-tune.

    Attributes
    ----------
    epochs
        Passes over the comments; the learning rate falls to 0 over them.
    least_steps
        Small sets get more passes, as many as fit into this many steps; with 0 every set gets `epochs`.
    steps_per_code
        Where codes are many, a set gets as many passes as fit into this many steps for each, and twice
        `epochs` at most.
    batch_size
        Comments in a step, of each process.
    encoder_rate, head_rate
        Peak learning rates of AdamW (Loshchilov and Hutter 2019); a set of fewer than `small` comments
        learns at twice these, which the sample's few steps need (see ``docs/quality.md``).
    encoder_width
        Units of a token state that `encoder_rate` is for; wider encoders learn at a lower one.
    small
        Comments below which a set counts as small.
    weight_decay, warmup, clip
        Of AdamW; share of steps that the rate rises; greatest gradient norm.
    average
        Decay of the moving average of the weights, which is what is validated and kept.
    patience
        Passes without a gain on validation after which to stop and to keep the best one's weights; 0 makes
        all passes and keeps the last one's. To choose among a few passes by a few hundred comments is to
        follow chance, and lets the same comments promise too much of the operating points.
    consistency, consistency_every, consistency_from, consistency_after
        Weight of the `disagreement` between two readings of a comment; which comments of a batch are read
        twice, each or every so many-th; the number of comments from which a set is read so, and the passes
        before, in which there is little to agree on yet. All else is read once, in half the time.
    contrast, contrast_below
        Weight of the contrast between comments (see `model.contrast`), and the number of comments below
        which a set is fitted with it: it lets an encoder forget what its codes do not need, and codes may
        come later.
    seed
        Decides the head's start, the order and the dropout.
    threads
        Processor threads; torch's own choice where None.
    precision
        ``bf16``, ``fp32``, or ``auto`` to measure and choose.
    """

    epochs: int = 3
    least_steps: int = 600
    steps_per_code: int = 20
    batch_size: int = 32
    encoder_rate: float = 1e-4
    head_rate: float = 1e-3
    encoder_width: int = 384
    small: int = 2500
    weight_decay: float = 0.01
    warmup: float = 0.1
    clip: float = 1.0
    average: float = 0.998
    patience: int = 0
    consistency: float = 1.0
    consistency_every: int = 3
    consistency_from: int = 1000
    consistency_after: int = 1
    contrast: float = 0.2
    contrast_below: int = 1000
    seed: int = 0
    threads: int | None = None
    precision: str = "auto"

    def passes(self, n_comments: int, n_codes: int = 0, processes: int = 1) -> int:
        """Give how many epochs a set gets: more where comments are few (30 at most) or codes many.

        Parameters
        ----------
        n_comments, n_codes
            Of the set; without codes it goes by the comments alone.
        processes
            That share each epoch's batches.
        """
        steps_per_epoch = max(1, -(-n_comments // (self.batch_size * processes)))
        if not self.least_steps:
            return self.epochs
        by_codes = min(2 * self.epochs, self.steps_per_code * n_codes // steps_per_epoch)
        return max(self.epochs, by_codes, min(30, self.least_steps // steps_per_epoch))

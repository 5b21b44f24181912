"""What a model remembers of single data can grow, shrink and begin anew; its networks stay."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_acn._base.errors import UserError
from keras_acn.models.base import LatentModel


class RemembersData(LatentModel):
    """Base of the models that keep a code for every datum: `ACN` and an unsupervised `VHE`."""

    @property
    def code_store(self) -> Any:
        """The `CodeStore` of the codes: the codebook or the pseudo-labels, `None` for none."""
        return self.pseudo_labels if self.codebook is None else self.codebook

    def memorize(self, images: Any, batch_size: int = 256) -> np.ndarray:
        """Add images to what the model remembers, without training on them.

        Their codes, by the weights of now, become new rows after those that are there. They
        are then found by `neighbors`, and a training can go on with `fit` on all data, the old
        ones first.

        Args:
          images: M images, or batches of them, as for `predict`.
          batch_size: Images per step.

        Returns:
          int32 `[M]`, the rows that they got.

        Raises:
          UserError: If they are no images, or the model remembers no single data.

        Example:
          >>> import numpy as np
          >>> from keras_acn import ACN
          >>> images = np.random.default_rng(0).random((30, 4, 4, 1), dtype=np.float32)
          >>> model = ACN((4, 4, 1), 2, encoder="mlp", decoder="mlp")
          >>> model.memorize(images[:20])[-1], model.memorize(images[20:])[-1]
          (np.int32(19), np.int32(29))
          >>> model.neighbors(images[25:26], k=1)[1]
          array([[25]], dtype=int32)
        """
        store = self._required_store("memorize")
        codes = self.codes(images, batch_size)
        before = store.codes.numpy() if store.built else codes[:0]
        self._remake(np.concatenate([before, codes]))
        return np.arange(len(before), len(before) + len(codes), dtype=np.int32)

    def forget(self, rows: Any = None) -> None:
        """Remove data from what the model remembers; the networks stay as they are.

        Args:
          rows: The rows to remove: numbers, or booleans `[N]`. Those that are left are numbered
            anew, in their order. `None` removes all of them: the codebook begins anew, and
            takes its size from the next `fit`, `memorize` or `load_weights`.

        Raises:
          UserError: If there are no such rows, or none would be left, or the model remembers
            no single data.
        """
        store = self._required_store("forget")
        if rows is None:
            self._remake(None)
            return
        store.require_codes()
        rows = np.asarray(rows)
        if rows.dtype == bool:
            if rows.shape != (store.size,):
                raise UserError(
                    f"There are {store.size} rows and {list(rows.shape)} booleans: give one a row."
                )
            rows = np.flatnonzero(rows)
        if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
            raise UserError(f"forget() takes a list of row numbers, not {rows.dtype} {rows.shape}.")
        if rows.size and not 0 <= rows.min() <= rows.max() < store.size:
            raise UserError(
                f"forget() was given rows from {rows.min()} to {rows.max()}, and the codebook has "
                f"the rows 0 to {store.size - 1}."
            )
        kept = np.setdiff1d(np.arange(store.size), rows)
        if not len(kept):
            raise UserError("No row would be left: forget() without rows begins anew.")
        self._remake(store.codes.numpy()[kept])

    def _required_store(self, what):
        store = self.code_store
        if store is None:
            raise UserError(
                f"{what}() is for models that remember single data, and a supervised VHE has its "
                "classes from the labels: nothing is to be done for other data."
            )
        return store

    def _remake(self, codes):
        with self.variables_scope():
            self.code_store.remake(codes)
        # Whatever was compiled reads the codes that were.
        self._graphs.by_key.clear()
        self.train_function = self.test_function = self.predict_function = None

    # -- while it trains ---------------------------------------------------------------

    def settle(self, images: Any) -> None:
        super().settle(images)
        self.recode(images)

    def recode(self, images: Any, batch_size: int = 256) -> None:
        """Write the codes of all training data by the weights of now.

        Args:
          images: The training images, in the order of their index.
          batch_size: Images per step.

        Raises:
          UserError: If their number is not that of the codes.
        """
        raise NotImplementedError

    def continue_pass(self) -> None:
        if self.code_store is not None:
            self.code_store.continue_pass()

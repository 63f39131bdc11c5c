"""Encoding, decoding and their gradients for codes of which few are active: only active pairs are touched.

Codes S are (B, F) for B rows and F features, and nearly all of them are zero. `Active` says where they are not; their
values are one flat vector (A,) in the order of `Active`: row by row, any number of them in a row. Matrices of the
encoder and of the decoder are both kept as (F, d): one contiguous row of d numbers for each feature.

Three functions are differentiable and enough to train with:

    active = Active.of_indices(pre.topk(k).indices, F)     # or of_groups, of_mask, of_flat
    values = encoded(active, x - b_dec, W_enc, b_enc, b_dec, values=active.gathered(pre))
    x_hat = decoded(active, values * spread(active, scale), W_dec) + b_dec

Their gradients equal those of dense codes that are zero where they are not active (ReLU, TopK, BatchTopK, JumpReLU and
grouped gates). `products`, `weighted_sums`, `outer_sums` and `feature_sums` are the kernels below them, without
gradients. All run on any device in float32 and give the same bytes for the same input on a CPU.

Where many codes are active, and always on a GPU, the same functions take dense products: `Active.sparse` says which.
On an EPYC core with B = 4096, F = 4608, d = 576 and 32 active codes per row, one embedding-bag sum takes 3.5 ms (a CSR
product 6 to 14 ms, a dense product 220 ms), and sampled products take 5 ms. With a fifth of the codes active a step
after the first dense product still takes two thirds of the time of a dense one.
"""

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag
from typing_extensions import override

with warnings.catch_warnings():
    # Torch says once that sparse tensors are in beta. What is used of them is old, and users could not act on it.
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor(torch.tensor([0, 0]), torch.tensor([], dtype=torch.int64), torch.tensor([]), (1, 1))

DENSE_SHARE = 0.25
"""Share of active codes above which dense products are faster on a CPU."""


@dataclass(frozen=True)
class Active:
    """Which A of the B x F codes are active."""

    starts: Tensor
    """(B + 1,) int32: the codes of row b are those from starts[b] up to starts[b + 1]."""
    features: Tensor
    """(A,) int32 feature of each active code."""
    n_features: int
    """F"""
    forced: bool | None = None
    """Whether to take the sparse kernels; None takes them where they pay off."""

    @classmethod
    def of_indices(cls, indices: Tensor, n_features: int) -> "Active":
        """From the features (B, k) that are active in each row, in any order, without repetition."""
        B, k = indices.shape
        starts = torch.arange(0, B * k + 1, k, dtype=torch.int32, device=indices.device)
        return cls(starts, indices.reshape(-1).to(torch.int32), n_features)

    @classmethod
    def of_groups(cls, groups: Tensor, group_size: int, n_features: int) -> "Active":
        """From the groups (B, k) of `group_size` adjacent features that are active in each row."""
        members = torch.arange(group_size, device=groups.device)
        return cls.of_indices((groups[:, :, None] * group_size + members).flatten(1), n_features)

    @classmethod
    def of_mask(cls, mask: Tensor) -> "Active":
        """From a boolean (B, F), in ascending order of the features."""
        return cls.of_flat(mask.flatten().nonzero()[:, 0], *mask.shape)

    @classmethod
    def of_flat(cls, positions: Tensor, n_rows: int, n_features: int) -> "Active":
        """From ascending positions (A,) int64 in the flattened (B, F)."""
        starts = torch.zeros(n_rows + 1, dtype=torch.int32, device=positions.device)
        starts[1:] = torch.bincount(positions // n_features, minlength=n_rows).cumsum(0)
        return cls(starts, (positions % n_features).to(torch.int32), n_features)

    @property
    def n_rows(self) -> int:
        """B."""
        return len(self.starts) - 1

    @property
    def count(self) -> int:
        """A."""
        return len(self.features)

    @cached_property
    def sparse(self) -> bool:
        """Whether only active pairs are touched, or dense products are taken."""
        if self.forced is not None:
            return self.forced
        return pays_off(self.count, self.n_rows, self.n_features, self.features.device)

    @cached_property
    def rows(self) -> Tensor:
        """(A,) int64 row of each active code."""
        counts = (self.starts[1:] - self.starts[:-1]).long()
        return torch.repeat_interleave(
            torch.arange(self.n_rows, device=self.features.device), counts, output_size=self.count
        )

    @cached_property
    def positions(self) -> Tensor:
        """(A,) int64 place of each active code in the flattened (B, F)."""
        return self.rows * self.n_features + self.features

    @cached_property
    def by_feature(self) -> tuple[Tensor, Tensor, Tensor]:
        """The same codes feature by feature: order (A,) int64, their rows (A,) int32 and starts (F + 1,) int32."""
        order = self.features.argsort(stable=True)
        starts = torch.zeros(self.n_features + 1, dtype=torch.int32, device=self.features.device)
        starts[1:] = torch.bincount(self.features, minlength=self.n_features).cumsum(0)
        return order, self.rows[order].to(torch.int32), starts

    def gathered(self, dense: Tensor) -> Tensor:
        """Entries (A,) of a dense (B, F) at the active pairs."""
        return dense.reshape(-1).index_select(0, self.positions)

    def scattered(self, values: Tensor) -> Tensor:
        """Dense codes (B, F) of values (A,)."""
        dense = values.new_zeros(self.n_rows * self.n_features)
        return dense.index_copy_(0, self.positions, values).reshape(self.n_rows, self.n_features)


def pays_off(active: int, n_rows: int, n_features: int, device: torch.device) -> bool:
    """Whether `active` codes are few enough for these kernels to beat dense products.

    On a GPU dense products are so fast that they are always taken.
    """
    return device.type == "cpu" and active <= DENSE_SHARE * n_rows * n_features


def weighted_sums(active: Active, values: Tensor, W: Tensor) -> Tensor:
    """S @ W, (B, d), for values (A,) of S and W (F, d)."""
    if not active.sparse:
        return active.scattered(values.detach()) @ W.detach()
    return _bag_sums(W, active.features, active.starts, values)


def outer_sums(active: Active, values: Tensor, rows: Tensor) -> Tensor:
    """S.T @ rows, (F, d), for values (A,) of S and rows (B, d): the gradient of a weight matrix."""
    if not active.sparse:
        return active.scattered(values.detach()).T @ rows.detach()
    order, of_feature, starts = active.by_feature
    return _bag_sums(rows, of_feature, starts, values[order])


def feature_sums(active: Active, values: Tensor) -> Tensor:
    """Sum over the rows of S, (F,), for values (A,): the gradient of a bias."""
    sums = values.new_zeros(active.n_features, dtype=torch.float64)
    return sums.index_add_(0, active.features, values.double()).to(values.dtype)


def products(active: Active, rows: Tensor, W: Tensor) -> Tensor:
    """Entries (A,) of rows @ W.T at the active pairs, for rows (B, d) and W (F, d)."""
    if not active.sparse:
        return active.gathered(rows.detach() @ W.detach().T)
    pattern = torch.sparse_csr_tensor(
        active.starts,
        active.features,
        rows.new_zeros(active.count),
        (active.n_rows, active.n_features),
        check_invariants=False,
    )
    # The first term is a pattern of zeros: beta = 1 and beta = 0 give the same.
    sampled: Tensor = torch.sparse.sampled_addmm(pattern, rows.detach(), W.detach().T)
    return sampled.values()


def encoded(
    active: Active, centred: Tensor, W_enc: Tensor, b_enc: Tensor, centre: Tensor | None, values: Tensor | None = None
) -> Tensor:
    """Values (A,) of centred @ W_enc.T + b_enc at the active pairs, differentiable in W_enc, b_enc and centre.

    centred (B, d) is what was read minus `centre` (d,), if there is one. Its gradient is not taken; that of `centre`
    needs no product of (B, F) with (F, d): it is -(sum over rows of the values' gradients) @ W_enc. Where values are
    known from a dense product, `values` (A,) saves computing them again.
    """
    result: Tensor = _Encode.apply(active, centred, W_enc, b_enc, centre, values)  # type: ignore[no-untyped-call]
    return result


def decoded(active: Active, values: Tensor, W_dec: Tensor) -> Tensor:
    """S @ W_dec, (B, d), for values (A,) of S and W_dec (F, d), differentiable in both."""
    result: Tensor = _Decode.apply(active, values, W_dec)  # type: ignore[no-untyped-call]
    return result


def spread(active: Active, vector: Tensor) -> Tensor:
    """Entry of `vector` (F,) for each active code, (A,), differentiable in it."""
    result: Tensor = _Spread.apply(active, vector)  # type: ignore[no-untyped-call]
    return result


def _bag_sums(table: Tensor, index: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
    # Detached: a table that wants a gradient takes a path that is fifteen times slower.
    return embedding_bag(
        index, table.detach(), starts, mode="sum", per_sample_weights=weights.detach(), include_last_offset=True
    )


class _Encode(torch.autograd.Function):
    @staticmethod
    @override
    def forward(
        ctx: Any,
        active: Active,
        centred: Tensor,
        W_enc: Tensor,
        b_enc: Tensor,
        centre: Tensor | None,
        values: Tensor | None,
    ) -> Tensor:
        ctx.active = active
        ctx.has_centre = centre is not None
        ctx.save_for_backward(centred, W_enc)
        return products(active, centred, W_enc) + b_enc[active.features] if values is None else values.clone()

    @staticmethod
    @override
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        centred, W_enc = ctx.saved_tensors
        sums = feature_sums(ctx.active, gradient)
        to_centre = -(sums @ W_enc) if ctx.has_centre else None
        return None, None, outer_sums(ctx.active, gradient, centred), sums, to_centre, None


class _Decode(torch.autograd.Function):
    @staticmethod
    @override
    def forward(ctx: Any, active: Active, values: Tensor, W_dec: Tensor) -> Tensor:
        ctx.active = active
        ctx.save_for_backward(values, W_dec)
        return weighted_sums(active, values, W_dec)

    @staticmethod
    @override
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        values, W_dec = ctx.saved_tensors
        gradient = gradient.contiguous()
        to_values = products(ctx.active, gradient, W_dec) if ctx.needs_input_grad[1] else None
        to_W = outer_sums(ctx.active, values, gradient) if ctx.needs_input_grad[2] else None
        return None, to_values, to_W


class _Spread(torch.autograd.Function):
    # Indexing has a gradient too, but on several CPU threads it is summed in an order that changes from run to run.
    @staticmethod
    @override
    def forward(ctx: Any, active: Active, vector: Tensor) -> Tensor:
        ctx.active = active
        return vector[active.features]

    @staticmethod
    @override
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return None, feature_sums(ctx.active, gradient)

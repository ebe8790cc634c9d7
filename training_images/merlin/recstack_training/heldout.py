"""One version's lists and scores on the held-out days, and every metric of them, by k and by slice."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from recstack_triton_templates.stages.transforms import Array

from recstack_training import measures
from recstack_training.bootstrap import PerRequest, mean
from recstack_training.dataset import Encoded
from recstack_training.measures import Bools, Floats, Ints
from recstack_training.population import Slice
from recstack_training.served import Bundle, slices

REQUESTS = 5_000
POSITIVES = 50_000
LONGEST = 100
"""Items of a list that are looked at: the greatest k."""
UNKNOWN_SCORE = -1.0
"""Below every probability: of items that a version does not know, and so never lists."""


@dataclass(frozen=True)
class Requests:
    """N requests: user rows, ids, row in the log of the first event; the relevant (user, item) pairs."""

    user: Ints
    ids: Ints
    event: Ints
    pairs: Ints


def to_pairs(user: Ints, item: Ints, items: int) -> Ints:
    """Distinct pairs as sorted ``user * items + item``."""
    pairs: Ints = np.unique(user * items + item)
    return pairs


def contains(sorted_keys: Ints, keys: Ints) -> Bools:
    """Which of ``keys``, any shape, are in ``sorted_keys``."""
    if len(sorted_keys) == 0:
        return np.zeros(keys.shape, dtype=bool)
    place = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    found: Bools = sorted_keys[place] == keys
    return found


def requests(log: Encoded, ids: Ints, items: int) -> Requests:
    """The requests of the held-out ``log``; ``ids`` [U] are the raw user ids."""
    order = np.argsort(log.time, kind="stable")
    users, first = np.unique(log.user[order], return_index=True)
    first = order[first]
    step = -(-len(users) // REQUESTS)
    users, first = users[::step], first[::step]
    return Requests(users, ids[users], first, to_pairs(log.user, log.item, items))


@dataclass(frozen=True)
class HeldOut:
    """What every version is asked. Item rows are the candidate's catalog's.

    ``events`` [P] are rows of the log; ``scored`` [P, 1 + n] the item of each and its sampled negatives,
    ``counted`` [P, 1 + n] those that are no held-out events themselves, and the first; ``bits`` [I + 1] the
    self-information of items, of an unknown one at -1.
    """

    asked: Requests
    log: Encoded
    item_ids: Ints
    events: Ints
    scored: Ints
    counted: Bools
    bits: Floats

    @classmethod
    def of(cls, log: Encoded, train: Encoded, item_ids: Ints, negatives: int, seed: int) -> "HeldOut":
        """Choose requests and events as the head of ``steps/evaluate.py`` says."""
        items = len(item_ids)
        asked = requests(log, log.user_ids, items)
        events = np.arange(0, len(log.user), -(-len(log.user) // POSITIVES))
        rng = np.random.default_rng(seed)
        drawn = log.item[rng.integers(len(log.item), size=(len(events), negatives))]
        scored = np.concatenate([log.item[events][:, None], drawn], axis=1)
        counted = ~contains(asked.pairs, log.user[events][:, None] * items + scored)
        counted[:, 0] = True
        bits = measures.self_information(np.bincount(train.item, minlength=items))
        return cls(asked, log, item_ids, events, scored, counted, bits)

    def context(self, rows: Ints) -> dict[str, Array]:
        """Raw context of the events at ``rows`` of the log."""
        return {name: column[rows] for name, column in self.log.raw.items()}

    def score(self, bundle: Bundle) -> Array:
        """The ranker's scores [P, 1 + n] of ``scored``, in its own rows of the same ids."""
        place = np.minimum(np.searchsorted(bundle.item_ids, self.item_ids), len(bundle.item_ids) - 1)
        known = bundle.item_ids[place] == self.item_ids
        users = self.log.user_ids[self.log.user[self.events]]
        scores = np.concatenate([
            bundle.score(bundle.user(users[part]), bundle.context(self.context(self.events[part]),
                         len(users[part])), place[self.scored[part]])
            for part in slices(len(self.events), 4096)
        ])  # fmt: skip
        return np.where(known[self.scored], scores, np.float32(UNKNOWN_SCORE))

    def lists(self, bundle: Bundle, rows: Ints) -> Ints:
        """Rows [N, C] of a bundle's own catalog as this one's; -1 where it has no such item."""
        ids = bundle.item_ids[rows]
        place = np.minimum(np.searchsorted(self.item_ids, ids), len(self.item_ids) - 1)
        return np.where(self.item_ids[place] == ids, place, -1)


class Measured:
    """Metrics of one version's ``rows`` [N, C], best first, and ``scores`` [P, 1 + n]; None: not scored."""

    def __init__(self, held_out: HeldOut, rows: Ints, scores: Array | None) -> None:
        self.held_out, self.rows, self.scores = held_out, rows[:, :LONGEST], scores
        self._items = len(held_out.item_ids)

    @cached_property
    def _hits(self) -> Bools:
        keys = self.held_out.asked.user[:, None] * self._items + self.rows
        return contains(self.held_out.asked.pairs, keys) & (self.rows >= 0)

    def _relevant(self, of: Slice) -> Ints:
        """Relevant items of each request [N] that are in the slice; none of users outside of it."""
        asked = self.held_out.asked
        pairs = asked.pairs if of.items is None else asked.pairs[of.items[asked.pairs % self._items]]
        count = np.bincount(pairs // self._items, minlength=int(asked.user.max()) + 1)[asked.user]
        return np.where(of.users[asked.user], count, 0) if of.users is not None else count

    def requests(self, of: Slice) -> int:
        """Requests with a relevant item in the slice."""
        return int((self._relevant(of) > 0).sum())

    def value(self, metric: str, of: Slice) -> float | None:
        """One metric; None where the slice has nothing to measure it on."""
        name, _, k = metric.partition("@")
        if name == "coverage":
            return self._coverage(int(k), of)
        if name == "calibrationError":
            table = self.reliability(of)
            return None if table is None else float(np.abs(table[:, 0] - table[:, 1]) @ table[:, 2])
        if name == "auc":
            positive, negative = self._split(of)
            return measures.auc(positive, negative) if len(positive) and len(negative) else None
        parts = self.per_request(metric, of)
        return parts.value() if parts is not None and parts.requests else None

    def per_request(self, metric: str, of: Slice) -> PerRequest | None:
        """A metric that is a mean over requests, by request; None where the slice has no such metric."""
        name, _, length = metric.partition("@")
        if name == "auc":
            return self._auc_by_request(of)
        k = int(length)
        if name == "novelty":
            if of.items is not None:
                return None
            users = self.held_out.asked.user
            there = np.ones(len(users), bool) if of.users is None else of.users[users]
            return mean(self.held_out.bits[self.rows[:, :k]].mean(axis=1), there)
        count = self._relevant(of)
        hits = self._hits[:, :k]
        if of.items is not None:
            hits = hits & of.items[self.rows[:, :k]]
        measure = measures.recall if name == "recall" else measures.ndcg
        return mean(measure(hits, np.maximum(count, 1)), count > 0)

    def _coverage(self, k: int, of: Slice) -> float | None:
        users = self.held_out.asked.user
        rows = self.rows[:, :k] if of.users is None else self.rows[of.users[users], :k]
        listed = np.zeros(self._items, bool)
        listed[rows[rows >= 0]] = True
        whole = np.ones(self._items, bool) if of.items is None else of.items
        return float(listed[whole].mean()) if whole.any() and len(rows) else None

    def _mask(self, of: Slice) -> Bools:
        """Scored pairs [P, 1 + n] of the slice's users or items."""
        log, mask = self.held_out.log, self.held_out.counted
        if of.users is not None:
            mask = mask & of.users[log.user[self.held_out.events]][:, None]
        if of.items is not None:
            mask = mask & of.items[self.held_out.scored]
        return mask

    @property
    def _scored(self) -> Array:
        if self.scores is None:
            raise ValueError("this version's ranker was not asked")
        return self.scores

    def _split(self, of: Slice) -> tuple[Array, Array]:
        mask = self._mask(of)
        return self._scored[:, 0][mask[:, 0]], self._scored[:, 1:][mask[:, 1:]]

    def _auc_by_request(self, of: Slice) -> PerRequest | None:
        """AUC as sums of structural components by request's user; its Hajek projection when resampled."""
        positive, negative = self._split(of)
        if not len(positive) or not len(negative):
            return None
        mask = self._mask(of)
        users = self.held_out.asked.user
        of_event = self.held_out.log.user[self.held_out.events]
        owner = np.broadcast_to(of_event[:, None], mask.shape)
        size = len(self.held_out.log.user_ids)
        sums, counts = np.empty((len(users), 2)), np.empty((len(users), 2))
        sides = (
            (owner[:, 0][mask[:, 0]], measures.below(positive, negative)),
            (owner[:, 1:][mask[:, 1:]], 1 - measures.below(negative, positive)),
        )
        for term, (who, share) in enumerate(sides):
            sums[:, term] = np.bincount(who, share, minlength=size)[users]
            counts[:, term] = np.bincount(who, minlength=size)[users]
        return PerRequest(sums, counts, measures.auc(positive, negative))

    def reliability(self, of: Slice) -> Floats | None:
        """Bins of the ranker's probabilities, as ``measures.bins``; None when nothing of the slice is scored.

        Against the sampled negatives: a probability is meant for as many negatives as training has.
        """
        mask = self._mask(of)
        if not mask.any():
            return None
        outcome = np.zeros(mask.shape)
        outcome[:, 0] = 1
        return measures.bins(self._scored[mask].astype(np.float64), outcome[mask])

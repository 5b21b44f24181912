"""Which search strategy suits a codebook, by its size."""

# For a batch of 128 exact search took 45 + 1.75 d nanoseconds a code on two processor
# cores: 4.5 ms at 60,000 x 16, 9 ms at 60,000 x 64, 160 ms at 1,000,000 x 64. A step of a
# small fully connected network takes 6.5 ms there, one of a convolutional network more.
# Up to about 10 ms the search is no more than such a step, and exact costs nothing in
# quality; beyond, it grows with N while the network does not.
FIXED, LARGEST = 26, 6e6


def choose(size, dim):
    """Returns the name of the strategy that `"auto"` stands for.

    `"exact"` while a step of it costs no more than one of a small network, `"graph"`,
    whose steps cost the same at every size, above. `"faiss"` is used on request only.

    Args:
      size: Number of codes N.
      dim: Dimension d of a code.
    """
    return "exact" if int(size) * (int(dim) + FIXED) <= LARGEST else "graph"


def describe_choice(size, dim):
    """Returns the choice and its reason in one sentence, for a log.

    Args:
      size: Number of codes N.
      dim: Dimension d of a code.
    """
    if choose(size, dim) == "exact":
        why = "its step costs no more than that of a small network"
    else:
        why = "its step costs the same at every size, where that of exact search grows with it"
    name = choose(size, dim)
    return f'Search of {int(size):,} codes of dimension {int(dim)}: "{name}", since {why}.'

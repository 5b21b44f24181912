"""A training with graph search against one with exact search: recall by epoch, final nats.

Both are the preset blog-acn, from the same seed. Recall is what `fit` logs: the share of the
true k nearest codes that a step found, measured in the step. The test images are evaluated
by exact search in both.

    python benchmarks/graph_recall.py [--data idx:DIR] [--epochs 10] [--batch-size 128]
        [--unique] [--seed 0]
"""

import argparse

from _setup import model

from keras_acn import data as data_lib


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="digits", help="such as idx:DIR")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--unique", action="store_true", help="each neighbour once a pass")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    data = data_lib.load(arguments.data, seed=arguments.seed)
    results = {}
    for name in ("exact", "graph"):
        named = f"{name} unique" if arguments.unique else name
        trained = model(named, data.train, arguments.batch_size, arguments.seed)
        history = trained.fit(
            data.train, batch_size=arguments.batch_size, epochs=arguments.epochs, verbose=0
        ).history
        test = trained.evaluate(data.test, batch_size=256, verbose=0, return_dict=True)
        results[name] = history, test
    exact, graph = results["exact"][0], results["graph"][0]
    print(f"{len(data.train)} images, batch {arguments.batch_size}, k=5, seed {arguments.seed}")
    print(f"{'epoch':>6}{'recall@5':>10}{'drift':>8}{'distance':>10}{'exact':>10}{'graph':>10}")
    for epoch in range(arguments.epochs):
        found = graph.get("codebook_recall")
        print(
            f"{epoch + 1:>6}{found[epoch] if found else 1:>10.3f}"
            f"{graph['codebook_drift'][epoch]:>8.2f}{graph['codebook_distance'][epoch]:>10.2f}"
            f"{exact['total_nats'][epoch]:>10.2f}{graph['total_nats'][epoch]:>10.2f}"
        )
    for split, i in (("training", 0), ("test", 1)):
        a, b = (results[name][i]["total_nats"] for name in ("exact", "graph"))
        a, b = (each[-1] if isinstance(each, list) else each for each in (a, b))
        print(f"{split}: exact {a:.2f}, graph {b:.2f} nats an image, difference {b - a:+.2f}")


if __name__ == "__main__":
    main()

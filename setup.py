"""Metadata of the package; the linter and the tests are set up in pyproject.toml."""

import pathlib
import re

from setuptools import find_packages, setup

here = pathlib.Path(__file__).parent
version = re.search(
    r'__version__ = "([^"]+)"', (here / "keras_acn" / "__init__.py").read_text()
).group(1)

# Models of more bytes than these, and those named, are in a checkout and in the source distribution
# alone; the wheel then says where they are (keras_acn/_base/shipped.py).
LARGEST_MODEL = 10_000_000
LEFT_OUT = ["acn-photos"]
too_large = [
    f"{path.parent.name}/{path.name}"
    for path in (here / "saved_models").glob("*/model.keras")
    if path.stat().st_size > LARGEST_MODEL or path.parent.name in LEFT_OUT
]

setup(
    name="keras-acn",
    version=version,
    description="Associative Compression Networks and their cousins, in Keras",
    long_description=(here / "README.md").read_text(),
    long_description_content_type="text/markdown",
    author="The keras-acn authors",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords=[
        "associative compression network",
        "variational autoencoder",
        "representation learning",
        "bits-back coding",
        "lossless compression",
        "keras",
    ],
    # No project_urls: the repository names no home of its own yet (docs/packaging.md).
    python_requires=">=3.10",
    packages=[*find_packages(include=["keras_acn", "keras_acn.*"]), "keras_acn.saved_models"],
    # The trained models lie at the top of a checkout, and inside an installed package.
    package_dir={"keras_acn.saved_models": "saved_models"},
    package_data={
        "keras_acn": ["py.typed"],
        # A piece of MNIST, with its licence beside it.
        "keras_acn.data": ["mnist_mini/*"],
        "keras_acn.experiment": ["presets/*.yaml"],
        "keras_acn.html_report": ["page/*"],
        # Not the versions for TensorFlow Serving, `*/1/`: `keras-acn export NAME DIR` makes one.
        "keras_acn.saved_models": ["*/*"],
    },
    exclude_package_data={"keras_acn.saved_models": too_large},
    # The lower ends are those of requirements-oldest.txt, with which .ci/run tests models.
    install_requires=[
        "tensorflow>=2.20,<2.22",
        # distribute/keras_trainer.py overrides methods that older ones do not have.
        "keras>=3.10,<4",
        "tensorflow-probability>=0.25,<0.26",
        # TFP imports it, though nothing here uses it.
        "tf-keras>=2.20,<2.22",
        "tensorflow-datasets>=4.9.4,<5",
        # TFDS imports it without declaring it.
        "importlib_resources>=6",
        # keras_acn.sklearn checks its rows by what older ones do not have.
        "scikit-learn>=1.6,<2",
        "scipy>=1.10,<2",
        "numpy>=1.26,<3",
        "pandas>=2.1,<4",
        "plotnine>=0.13,<1",
        "matplotlib>=3.8,<4",
        "pillow>=10",
        "threadpoolctl>=3",
        "click>=8.2,<9",
        "pydantic>=2.5,<3",
        "pyyaml>=6,<7",
    ],
    extras_require={
        "test": [
            "constriction>=0.5,<0.6",
            "faiss-cpu>=1.8,<2",
            "pytest>=8,<10",
            "pytest-xdist>=3.6,<4",
            "ruff>=0.17,<0.18",
            "mypy>=2,<3",
            "nbclient>=0.10",
            "nbformat>=5.10",
            "ipykernel>=6.29",
            "setuptools>=69",
            "plotly>=5.20,<8",
            "tensorboard>=2.20,<2.22",
            "tensorflow-serving-api>=2.20,<2.22",
        ],
        # For the site; on Python 3.11 or newer.
        "docs": ["sphinx>=8.2,<10", "myst-parser>=5,<6", "furo>=2025.7"],
        # For examples/grpc_client.py; an export needs nothing.
        "serving": ["tensorflow-serving-api>=2.20,<2.22"],
        "notebooks": ["jupyterlab>=4,<5", "tensorboard>=2.20,<2.22"],
        "codec": ["constriction>=0.5,<0.6"],
        "bench": ["torch>=2.2"],
        "faiss": ["faiss-cpu>=1.8,<2"],
        "report": ["plotly>=5.20,<8"],
        "mp4": ["imageio-ffmpeg>=0.5"],
        # What training.loggers names. The whole of MLflow wants an older pyarrow than the lock has.
        "mlflow": ["mlflow-skinny>=3,<4", "sqlalchemy>=2,<3", "alembic>=1.13,<2"],
        # For benchmarks/compare_codes.py.
        "umap": ["umap-learn>=0.5.9,<1"],
        "wandb": ["wandb>=0.19,<1"],
    },
    entry_points={"console_scripts": ["keras-acn = keras_acn.cli:main"]},
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Education",
        "Intended Audience :: Science/Research",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Processing",
        "Topic :: System :: Archiving :: Compression",
        "Typing :: Typed",
    ],
)

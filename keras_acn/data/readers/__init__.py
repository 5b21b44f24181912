"""One reader a format: NumPy's files, IDX files, folders of images, TensorFlow Datasets."""

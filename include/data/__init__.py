"""The data of a model: Delta tables (`lake`), validation (`quality`), and the steps of a collect run (`collection`)."""

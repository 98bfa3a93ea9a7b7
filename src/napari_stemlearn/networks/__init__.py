"""Neural networks as plain modules: tensors in, tensors out, nothing else of this package inside."""

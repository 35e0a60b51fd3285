//! Where checkpoints are kept: a folder of this machine, or an object store.

//! The backplane: other nodes. Empty while there is one; node incarnation and epoch are part of the model already.

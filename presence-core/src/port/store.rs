//! The store: what must outlive the process. Empty until something must.

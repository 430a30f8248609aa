//! Streams: messages, cursors, redelivery. Empty until there is a store to keep them.

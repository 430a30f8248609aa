//! WebSocket connections.

//! The files in `deploy`, as the programs read them that they are for: nginx, Caddy and systemd.

mod proxies;
mod systemd;

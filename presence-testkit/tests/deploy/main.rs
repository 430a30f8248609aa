//! The files in `deploy`, as the programs read them that they are for: nginx, Caddy and systemd.

mod nginx;
mod patience;
mod proxies;
mod server;
mod systemd;

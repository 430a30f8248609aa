//! A real nginx, with the file in `deploy` or with next to no configuration at all.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Result;
use presence_testkit::folder::Folder;
use presence_testkit::program::{Program, deployed_text};
use presence_testkit::tls::{Certificate, CertificateFiles, Tunnel};

/// The file that is deployed.
pub(crate) const DEPLOYED: &str = "nginx/presence.conf";

/// As nginx's own page on WebSockets has it, and no more: buffers and times are as nginx comes.
const BARE: &str = "map $http_upgrade $connection_upgrade { default upgrade; '' close; }
server {
    listen ADDRESS;
    location / {
        proxy_pass http://SERVER;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
    }
}
";

/// A running nginx, which ends with the value.
pub(crate) struct Nginx {
    pub(crate) program: Program,
    /// Where it ends TLS.
    tunnel: Option<(Tunnel, CertificateFiles)>,
}

impl Nginx {
    /// nginx as deployed, but for addresses, certificates and folders, and what `change` does to the file.
    pub(crate) async fn deployed(server: SocketAddr, change: impl Fn(String) -> String) -> Result<Self> {
        let certificate = Certificate::new()?;
        let files = CertificateFiles::of(&certificate)?;
        let site = change(deployed_text(DEPLOYED)?)
            .replace("127.0.0.1:8080", &server.to_string())
            .replace("/etc/ssl/presence/fullchain.pem", &files.cert().display().to_string())
            .replace("/etc/ssl/presence/privkey.pem", &files.key().display().to_string());
        let program = start(&site.replace("listen 443 ssl;", "listen ADDRESS ssl;")).await?;
        let tunnel = Tunnel::to(program.address, certificate.trusted()?).await?;
        Ok(Self { program, tunnel: Some((tunnel, files)) })
    }

    /// nginx as it comes, without TLS.
    pub(crate) async fn bare(server: SocketAddr) -> Result<Self> {
        let program = start(&BARE.replace("SERVER", &server.to_string())).await?;
        Ok(Self { program, tunnel: None })
    }

    /// Where clients connect to, which speak no TLS.
    pub(crate) fn address(&self) -> SocketAddr {
        self.tunnel.as_ref().map_or(self.program.address, |(tunnel, _)| tunnel.address())
    }
}

/// Starts nginx without privileges in a folder of its own.
async fn start(site: &str) -> Result<Program> {
    Program::start("nginx-light", |folder, address| {
        let root = folder.path().display().to_string();
        let site = site.replace("ADDRESS", &address.to_string());
        folder.write("site.conf", &site.replace("/var/log/nginx/presence.log", &format!("{root}/access")))?;
        let main = main(folder)?;
        let mut command = Command::new("nginx");
        command.arg("-c").arg(main).arg("-e").arg(folder.path().join("errors")).arg("-p").arg(folder.path());
        Ok(command)
    })
    .await
}

/// What stands around a site.
fn main(folder: &Folder) -> Result<std::path::PathBuf> {
    let root = folder.path().display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {root}/{kind};\n"))
        .collect();
    folder.write(
        "nginx.conf",
        &format!(
            "daemon off;\nmaster_process off;\npid {root}/pid;\nerror_log {root}/errors;\n\
             events {{ worker_connections 64; }}\n\
             http {{\naccess_log off;\n{temporary}include {root}/site.conf;\n}}\n"
        ),
    )
}

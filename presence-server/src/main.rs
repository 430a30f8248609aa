//! The binary: reads the configuration, serves until told to stop.

use std::ffi::OsString;
use std::process::ExitCode;

use presence_server::app::StartError;
use presence_server::config::{Asked, read};
use presence_server::{Config, Server, logging};
use tokio::signal::unix::{SignalKind, signal};

/// Bad configuration (EX_USAGE of sysexits.h).
const BAD_CONFIGURATION: u8 = 64;

/// The address can not be listened on (EX_UNAVAILABLE of sysexits.h).
const CANNOT_LISTEN: u8 = 69;

/// The folder for what outlives the process can not be used (EX_CANTCREAT of sysexits.h).
const CANNOT_KEEP: u8 = 73;

fn main() -> ExitCode {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    if std::env::args_os().nth(1).is_some_and(|word| word == "token") {
        return tell(presence_server::auth::cli::run(std::env::args_os().skip(2), environment));
    }
    let config = match read(std::env::args_os().skip(1), environment) {
        Ok(Asked::Run(config)) => *config,
        Ok(Asked::Told(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("presence-server: {error}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    match serve(config) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("presence-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn tell(answer: anyhow::Result<String>) -> ExitCode {
    match answer {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("presence-server: {error:#}");
            ExitCode::from(BAD_CONFIGURATION)
        }
    }
}

fn serve(config: Config) -> anyhow::Result<ExitCode> {
    logging::start(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let server = match Server::bind(config, None) {
            Ok(server) => server,
            Err(error) => {
                eprintln!("presence-server: {error}");
                return Ok(ExitCode::from(match error {
                    StartError::Config(_) | StartError::NoTransport => BAD_CONFIGURATION,
                    StartError::DataDir { .. } => CANNOT_KEEP,
                    StartError::Listen { .. } => CANNOT_LISTEN,
                }));
            }
        };
        println!("presence-server is at http://{}  (open it in two tabs)", server.address());
        let mut signalled =
            async || tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} };
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let mut running = tokio::spawn(server.run(async { stopped.await.unwrap_or_default() }));
        signalled().await;
        let _ = stop.send(());
        // Whoever asks twice does not want to wait.
        tokio::select! {
            ended = &mut running => ended?,
            () = signalled() => {}
        }
        Ok(ExitCode::SUCCESS)
    });
    // Nobody waits for a disk that hangs.
    runtime.shutdown_background();
    served
}

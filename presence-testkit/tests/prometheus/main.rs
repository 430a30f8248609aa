//! A real Prometheus scrapes a real server, judges what it gets, and knows the rules and every query of the dashboard.
//! The metrics belong to the process, so no other test may run in this one.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use presence_server::{Config, Server};
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::folder::Folder;
use presence_testkit::http;
use presence_testkit::program::{Program, deployed, deployed_text, run, until};
use serde_json::{Value, json};
use tokio::sync::oneshot;

const PACKAGE: &str = "prometheus";

fn promtool(arguments: &[&str], name: &str) -> Result<String> {
    run(Command::new("promtool").args(arguments).arg(deployed(name)), PACKAGE)
}

#[test]
fn the_alert_rules_do_what_their_tests_say() -> Result<()> {
    promtool(&["check", "config"], "prometheus/prometheus.yml")?;
    promtool(&["check", "rules"], "prometheus/alerts.yml")?;
    promtool(&["test", "rules"], "prometheus/alerts.test.yml")?;
    let names = |text: &str, key: &str| -> BTreeSet<String> {
        text.lines()
            .filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix(key))
            .map(str::to_owned)
            .collect()
    };
    let (alerts, tested) =
        (deployed_text("prometheus/alerts.yml")?, deployed_text("prometheus/alerts.test.yml")?);
    let alerts = names(&alerts, "alert: ");
    ensure!(
        !alerts.is_empty() && alerts == names(&tested, "alertname: "),
        "every alert has a test: {alerts:?}"
    );
    Ok(())
}

/// A server on a port of its own, until the sender is dropped.
fn serve() -> Result<(SocketAddr, oneshot::Sender<()>)> {
    let server = Server::bind(
        Config { listen: "127.0.0.1:0".parse()?, log_level: "warn".to_owned(), ..Config::default() },
        None,
    )?;
    let address = server.address();
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));
    Ok((address, stop))
}

/// Two people on every kind of transport, who do what makes metrics move.
async fn people(server: SocketAddr) -> Result<Vec<Client>> {
    let mut clients = Vec::new();
    for kind in [Kind::Ws, Kind::Sse] {
        for user in ["ann", "bob"] {
            let session = format!("{kind:?}");
            clients.push(Client::enter(kind, server, &Credentials::new(user, &session), "doc").await?);
        }
    }
    for client in &mut clients {
        client.send(&json!({"type": "presence:update", "room": "doc", "state": {"x": 1}})).await?;
        client.send(&json!({"type": "presence:update", "room": "elsewhere", "state": {"x": 1}})).await?;
        client.settle("doc").await?;
    }
    Ok(clients)
}

/// Gives what a server shows to promtool, which has nothing to say against it.
fn lint(metrics: &str) -> Result<()> {
    let folder = Folder::made()?;
    let scraped = std::fs::File::open(folder.write("metrics", metrics)?)?;
    let output = Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::from(scraped)).output();
    let output = output.with_context(|| format!("there is no promtool: apt-get install {PACKAGE}"))?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(output.status.success() && said.trim().is_empty(), "{said}");
    Ok(())
}

/// What Prometheus answers to a query: the values of all series.
async fn query(prometheus: SocketAddr, expression: &str) -> Result<Vec<f64>> {
    let encoded: String = form_urlencoded::byte_serialize(expression.as_bytes()).collect();
    let answer: Value =
        http::get(prometheus, &format!("/api/v1/query?query={encoded}"), &[]).await?.json()?;
    ensure!(answer["status"] == "success", "{expression}: {answer}");
    let series = answer["data"]["result"].as_array().context("no result")?;
    series.iter().map(|one| Ok(one["value"][1].as_str().context("no value")?.parse()?)).collect()
}

async fn prometheus(target: SocketAddr) -> Result<Program> {
    let config = deployed_text("prometheus/prometheus.yml")?
        .replace("127.0.0.1:8080", &target.to_string())
        .replace("15s", "1s");
    let alerts = deployed_text("prometheus/alerts.yml")?;
    Program::start(PACKAGE, |folder, address| {
        folder.write("alerts.yml", &alerts)?;
        let config = folder.write("prometheus.yml", &config)?;
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        Ok(command)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_scrapes_the_server_and_answers_what_is_asked_of_it() -> Result<()> {
    let (address, _server) = serve()?;
    let people = people(address).await?;
    lint(&http::get(address, "/metrics", &[]).await?.body)?;
    let prometheus = prometheus(address).await?;
    let at = prometheus.address;
    let is = async |expression: &str, wanted: f64| {
        until(&format!("{expression} is {wanted}"), async || {
            let values = query(at, expression).await.unwrap_or_default();
            Ok((values == [wanted]).then_some(()))
        })
        .await
    };
    is(r#"up{job="presence"}"#, 1.0).await?;
    is("sum(presence_connections)", people.len() as f64).await?;
    is("presence_users", 2.0).await?;
    is(r#"sum(presence_errors_total{code="not_joined"})"#, people.len() as f64).await?;

    let rules: Value = http::get(at, "/api/v1/rules", &[]).await?.json()?;
    let rules = rules["data"]["groups"][0]["rules"].as_array().context("no rules")?.len();
    ensure!(rules == deployed_text("prometheus/alerts.yml")?.matches("- alert: ").count(), "{rules} rules");
    let dashboard: Value = serde_json::from_str(&deployed_text("grafana/presence.json")?)?;
    let mut asked = 0;
    for panel in dashboard["panels"].as_array().context("no panels")? {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().context("no expression")?;
            let expression = expression.replace("$instance", ".*").replace("$__rate_interval", "1m");
            query(at, &expression).await.with_context(|| format!("panel {}", panel["title"]))?;
            asked += 1;
        }
    }
    ensure!(asked > 30, "the dashboard asks only {asked} things");
    Ok(())
}

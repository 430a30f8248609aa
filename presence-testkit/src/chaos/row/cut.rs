//! Connections are cut without a word, both ways and one way: what is sent does not arrive, and nobody is told. Shorter than it
//! takes to notice, nobody hears of it; longer, and those who are cut off are seen to leave, once. They pass through a proxy
//! on loopback, which keeps what it may not pass on until it may, as TCP does.

use anyhow::{Result, ensure};

use crate::chaos::crowd::{Route, USUAL};
use crate::chaos::history::now;
use crate::chaos::site::{Site, TIMES};
use crate::chaos::stage::{ENTERING, Given, Outcome, Stage};
use crate::proxy::{Proxy, Way};

/// Whether a tab goes through the proxy: every other one.
const fn is_far(tab: u32) -> bool {
    tab % 2 == 1
}

/// The usual crowd, half of which goes through a proxy.
pub(super) async fn set_with_proxy(given: &Given) -> Result<(Stage, Proxy)> {
    let mut site = Site::new(&given.server, TIMES, &[])?;
    site.start().await?;
    let proxy = Proxy::to(site.address).await?;
    let (near, far) = (site.address, proxy.address());
    let route: Route = Box::new(move |tab| (if is_far(tab) { far } else { near }, None));
    Ok((Stage::set(given, site, USUAL, &route).await?, proxy))
}

/// What is cut, and for how many seconds: less than it takes to notice and let go, and more.
const CUTS: [(Option<Way>, f64); 4] =
    [(None, 3.0), (None, 14.0), (Some(Way::Up), 14.0), (Some(Way::Down), 14.0)];

/// Runs it.
///
/// # Errors
/// If it cannot be run.
pub(super) async fn run(given: &Given) -> Result<Outcome> {
    let (mut stage, proxy) = set_with_proxy(given).await?;
    let (tabs, residents) = (stage.crowd.tabs(is_far), stage.crowd.residents(is_far));
    for (way, seconds) in CUTS {
        stage.pass_between(1.0, 2.0).await;
        let since = now();
        let fault = match way {
            None => proxy.silence(),
            Some(way) => proxy.silence_one_way(way),
        };
        stage.cut_for(&tabs, seconds).await;
        drop(fault);
        let back = stage.crowd.all_in(ENTERING).await?.as_secs_f64();
        stage.pass(2.0).await;
        let (leaves, words) = (
            stage.leaves(&residents, since),
            way.map_or("both ways".to_owned(), |way| format!("{way:?} only")),
        );
        stage.figure(format!(
            "{words} for {seconds} s: {leaves} leaves of residents seen, all back {back:.1} s after"
        ));
        // Those who are heard and hear nothing give up as well.
        ensure!((leaves > 0) == (seconds > 10.0), "{words} for {seconds} s: {leaves} leaves");
    }
    stage.verdict().await
}

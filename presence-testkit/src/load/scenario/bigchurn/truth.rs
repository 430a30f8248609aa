//! Whether the windows that were shown meanwhile were right when they were shown.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::{Outcome, Shared, WindowShown};

/// Changes of different connections may be taken in in another order than they were intended. Who came or went so many
/// changes before or after a window may be on either side of it.
const UNSURE: usize = 200;

/// Holds every window that begins with the first row against who was there by the intended order.
pub(super) fn check(
    users: &[String],
    members: usize,
    shared: &Shared,
    mut shown: Vec<Rc<WindowShown>>,
    outcome: &mut Outcome,
) {
    shown.retain(|shown| shown.from == 0 && shown.version >= shared.base);
    shown.sort_by_key(|shown| shown.version);
    let mut changed: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (number, change) in shared.changes.iter().enumerate() {
        changed.entry(&users[change.client]).or_default().push(number);
    }
    let mut there: BTreeSet<&str> = users[..members].iter().map(String::as_str).collect();
    let mut done = 0;
    for shown in &shown {
        let seen = (shown.version - shared.base) as usize;
        for change in shared.changes.get(done..seen.max(done)).unwrap_or_default() {
            let user = users[change.client].as_str();
            if change.comes {
                there.insert(user)
            } else {
                there.remove(user)
            };
        }
        done = seen.max(done);
        let is_sure = |user: &str| {
            let all = changed.get(user).map(Vec::as_slice).unwrap_or_default();
            all.iter().all(|number| number.abs_diff(seen) > UNSURE)
        };
        if shown.total.abs_diff(there.len()) > UNSURE {
            outcome.faults.wrong(format!("after {seen} changes {} and not {}", shown.total, there.len()));
        }
        let Some(rows) = &shown.users else { continue };
        let rows: BTreeSet<&str> = rows.iter().map(|user| user.id.as_str()).collect();
        let last = rows.last().copied().unwrap_or_default();
        let expected: BTreeSet<&str> = there.range(..=last).copied().collect();
        let wrong = rows.symmetric_difference(&expected).find(|user| is_sure(user));
        if let Some(user) = wrong {
            outcome
                .faults
                .wrong(format!("after {seen} changes {user} is shown, or not, and should not be so"));
        }
    }
    outcome.figure("windows checked when they were shown", shown.len() as f64, "");
}

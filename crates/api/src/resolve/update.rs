//! When a queue takes updates: from spec to plan.

use super::{DAY, MINUTE, SpecCheck};
use crate::update::{UpdatePlan, UpdateSpec, UpdateWindow, UpdateWindowSpec, time_zone};

/// Most windows of a queue.
const MOST: usize = 16;

impl SpecCheck {
    pub(super) fn update(&mut self, update: &UpdateSpec) -> UpdatePlan {
        if update.windows.len() > MOST {
            let value = format!("{} windows", update.windows.len());
            self.refuse("spec.update.windows", value, format!("at most {MOST}"));
        }
        let windows = update.windows.iter().take(MOST).enumerate();
        let windows = windows.filter_map(|(index, window)| self.window(index, window)).collect();
        UpdatePlan { policy: update.policy, windows }
    }

    fn window(&mut self, index: usize, window: &UpdateWindowSpec) -> Option<UpdateWindow> {
        let path = format!("spec.update.windows[{index}]");
        let duration = self.duration(&format!("{path}.duration"), window.duration, MINUTE..=DAY);
        let Some(zone) = time_zone(&window.time_zone) else {
            let allowed = "the IANA name of a time zone, such as \"Europe/Berlin\"";
            self.refuse(&format!("{path}.timeZone"), format!("{:?}", window.time_zone), allowed);
            return None;
        };
        let found = UpdateWindow::new(&window.cron, zone, duration);
        if found.is_none() {
            let allowed = "five cron fields, such as \"0 3 * * 1-5\"";
            self.refuse(&format!("{path}.cron"), format!("{:?}", window.cron), allowed);
        }
        found
    }
}

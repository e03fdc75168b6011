//! The status endpoint: answering who asks, and obeying who may order.

use super::http::Exchange;
use super::root::{SharedPanel, log_events};
use crate::events::Word;
use crate::panel::{Obeyed, Order};
use crate::reply::Reply;
use crate::status::{self, Asked, control};

impl Exchange {
    /// The status, where it is on and asked for: of requests without a cluster, or of all.
    pub(super) fn ask_status(&self, panel: &SharedPanel, has_cluster: bool) -> Option<Reply> {
        let asked = {
            let panel = panel.borrow();
            let config = panel.config().status.as_ref()?;
            if config.everywhere != has_cluster {
                return None;
            }
            let path = self.host.request_header(":path")?;
            let path = String::from_utf8_lossy(&path);
            status::asked(&config.path, &path).map(|asked| (asked, query(&path).to_owned()))?
        };
        let method = self.host.request_header(":method").unwrap_or_default();
        Some(match (asked, &*method) {
            ((asked, _), b"GET" | b"HEAD") => self.tell_status(panel, &asked),
            ((Asked::Override(name), query), b"PUT" | b"DELETE") => {
                self.order(panel, &name, &method, &query).unwrap_or_else(|refusal| refusal)
            }
            ((Asked::Override(_), _), _) => control::not_allowed(
                "a state is forced with PUT, and released with DELETE",
                "GET, HEAD, PUT, DELETE",
            ),
            _ => control::not_allowed("the status is read with GET", "GET, HEAD"),
        })
    }

    fn tell_status(&self, panel: &SharedPanel, asked: &Asked) -> Reply {
        let mut panel = panel.borrow_mut();
        let wall = self.host.wall();
        match asked {
            Asked::All if self.prefers_page() => status::page(),
            Asked::All => status::all(panel.views(), wall),
            Asked::Override(name) if name == ALL => status::all(panel.views(), wall),
            Asked::One(name) | Asked::Override(name) => status::one(name, panel.view(name), wall),
        }
    }

    fn prefers_page(&self) -> bool {
        let accept = self.host.request_header("accept").unwrap_or_default();
        status::prefers_page(&String::from_utf8_lossy(&accept))
    }

    fn order(
        &self,
        panel: &SharedPanel,
        name: &str,
        method: &[u8],
        query: &str,
    ) -> Result<Reply, Reply> {
        let token = panel.borrow().config().status.as_ref().and_then(|status| status.control_token);
        let token = token.ok_or_else(control::not_configured)?;
        let authorization = self.host.request_header("authorization");
        if !control::is_authorized(&token, authorization.as_deref()) {
            return Err(control::unauthorized());
        }
        let order = control::order(method, query)?;
        let obeyed = obey(panel, name, &order);
        log_events(panel);
        match obeyed {
            // Who forces a state is told by the transition; what ends it may have none.
            Obeyed::Done if order == Order::Release => {
                log::info!("circuit breaker override ended circuit={}", Word(name));
            }
            Obeyed::Done | Obeyed::Nothing => {}
            Obeyed::Unknown => return Err(status::one(name, None, self.host.wall())),
            Obeyed::Off => return Err(control::is_off(name)),
            Obeyed::NoSlot => return Err(control::no_slot()),
            Obeyed::Failed => return Err(control::failed()),
        }
        Ok(self.tell_status(panel, &Asked::Override(name.to_owned())))
    }
}

/// Stands for every circuit.
const ALL: &str = "*";

fn obey(panel: &SharedPanel, name: &str, order: &Order) -> Obeyed {
    let mut panel = panel.borrow_mut();
    if name == ALL { panel.steer_all(order) } else { panel.steer(name, order) }
}

fn query(path: &str) -> &str {
    path.split_once('?').map_or("", |(_, query)| query)
}

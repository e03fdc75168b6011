//! Where the tick finds the requests that wait for their bodies, to end their waits.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use slotmap::{DefaultKey, SlotMap};

use super::http::Exchange;
use super::root::SharedPanel;
use crate::host::Host;
use crate::time::Timestamp;

/// Of one configuration in one worker.
#[derive(Debug, Default)]
pub(super) struct WaitingRoom {
    seats: SlotMap<DefaultKey, Seat>,
    /// Whether any body has ever come while its request waited, and whether it was said that none has.
    has_seen_body: bool,
    has_warned: bool,
}

#[derive(Debug)]
struct Seat {
    stream: u32,
    until: Timestamp,
    exchange: Weak<RefCell<Exchange>>,
}

pub(super) type SharedRoom = Rc<RefCell<WaitingRoom>>;

/// Ends the waits that are over.
pub(super) fn end_waits(room: &SharedRoom, panel: &SharedPanel, host: Host) {
    let now = panel.borrow().about_now();
    for seat in room.borrow_mut().take_due(now) {
        if let Some(exchange) = seat.exchange.upgrade()
            && host.turn_to(seat.stream)
        {
            exchange.borrow_mut().stop_waiting(panel);
        }
    }
}

impl WaitingRoom {
    fn take_due(&mut self, now: Timestamp) -> Vec<Seat> {
        let due = self.seats.iter().filter(|(_, seat)| seat.until <= now).map(|(key, _)| key);
        let due: Vec<_> = due.collect();
        if !due.is_empty() && !self.has_seen_body && !self.has_warned {
            self.has_warned = true;
            log::warn!(
                "circuit breaker waited in vain for the body of a rejected request: where no body \
                 ever comes, the plugin lacks allow_on_headers_stop_iteration: true"
            );
        }
        due.into_iter().filter_map(|key| self.seats.remove(key)).collect()
    }
}

/// An exchange that may have to wait.
#[derive(Debug)]
pub(super) struct Reachable {
    stream: u32,
    exchange: Rc<RefCell<Exchange>>,
    room: SharedRoom,
    seat: Option<DefaultKey>,
}

impl Reachable {
    pub(super) fn new(stream: u32, exchange: Exchange, room: SharedRoom) -> Self {
        Self { stream, exchange: Rc::new(RefCell::new(exchange)), room, seat: None }
    }

    /// Has it wait where the tick finds it, as long as it does wait.
    fn find_seat(&mut self) {
        let until = self.exchange.borrow().waits_until();
        match (until, self.seat) {
            (Some(until), None) => {
                let exchange = Rc::downgrade(&self.exchange);
                let seat = Seat { stream: self.stream, until, exchange };
                self.seat = Some(self.room.borrow_mut().seats.insert(seat));
            }
            (None, Some(_)) => self.leave_seat(),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    fn leave_seat(&mut self) {
        if let Some(seat) = self.seat.take() {
            self.room.borrow_mut().seats.remove(seat);
        }
    }
}

impl Drop for Reachable {
    fn drop(&mut self) {
        self.leave_seat();
    }
}

impl Context for Reachable {}

impl HttpContext for Reachable {
    fn on_http_request_headers(&mut self, count: usize, end_of_stream: bool) -> Action {
        let action = self.exchange.borrow_mut().on_http_request_headers(count, end_of_stream);
        self.find_seat();
        action
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        if self.exchange.borrow().waits_until().is_some() {
            self.room.borrow_mut().has_seen_body = true;
        }
        let action = self.exchange.borrow_mut().on_http_request_body(size, end_of_stream);
        self.find_seat();
        action
    }

    fn on_http_request_trailers(&mut self, count: usize) -> Action {
        let action = self.exchange.borrow_mut().on_http_request_trailers(count);
        self.find_seat();
        action
    }

    fn on_http_response_headers(&mut self, count: usize, end_of_stream: bool) -> Action {
        let action = self.exchange.borrow_mut().on_http_response_headers(count, end_of_stream);
        self.find_seat();
        action
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        self.exchange.borrow_mut().on_http_response_body(size, end_of_stream)
    }

    fn on_http_response_trailers(&mut self, count: usize) -> Action {
        self.exchange.borrow_mut().on_http_response_trailers(count)
    }

    fn on_log(&mut self) {
        self.leave_seat();
        self.exchange.borrow_mut().on_log();
    }
}

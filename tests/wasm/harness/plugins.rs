//! The configurations the VMs run: one per plugin, and old ones that still drain.

use std::cell::{Cell, RefCell};

/// A plugin configuration, in all VMs alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PluginId(usize);

#[derive(Clone, Debug)]
pub struct Plugin {
    pub id: PluginId,
    pub configuration: Vec<u8>,
    draining: bool,
}

#[derive(Debug)]
pub struct Plugins {
    list: RefCell<Vec<Plugin>>,
    current: Cell<PluginId>,
    /// Envoy's plugin option: a filter that pauses at headers still gets the body.
    pub allow_on_headers_stop_iteration: bool,
}

impl Plugins {
    pub fn new(allow_on_headers_stop_iteration: bool) -> Self {
        Self {
            list: RefCell::default(),
            current: Cell::new(PluginId(0)),
            allow_on_headers_stop_iteration,
        }
    }

    /// The next plugin, not yet one of ours: its configuration may be refused.
    pub fn candidate(&self, configuration: Vec<u8>) -> Plugin {
        Plugin { id: PluginId(self.list.borrow().len()), configuration, draining: false }
    }

    pub fn accept(&self, plugin: Plugin) {
        self.list.borrow_mut().push(plugin);
    }

    pub fn current(&self) -> PluginId {
        self.current.get()
    }

    pub fn current_configuration(&self) -> Option<Vec<u8>> {
        let list = self.list.borrow();
        list.iter()
            .find(|plugin| plugin.id == self.current.get())
            .map(|plugin| plugin.configuration.clone())
    }

    /// New requests go to this one; the one it replaces drains.
    pub fn replace_current(&self, by: PluginId) {
        let old = self.current.replace(by);
        for plugin in self.list.borrow_mut().iter_mut().filter(|plugin| plugin.id == old) {
            plugin.draining = true;
        }
    }

    pub fn live(&self) -> Vec<Plugin> {
        self.list.borrow().iter().filter(|plugin| !plugin.draining).cloned().collect()
    }

    pub fn draining(&self) -> Vec<PluginId> {
        self.list.borrow().iter().filter(|plugin| plugin.draining).map(|plugin| plugin.id).collect()
    }
}

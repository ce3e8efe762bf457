//! The page's own signs of life: seen again, back from the cache, back on line (§8).

use crate::options::get;
use osbackend_client_core::Input;
use wasm_bindgen::prelude::*;
use web_sys::{Event, EventTarget};

/// Listens until it is dropped. Where there is no page (a worker, Node) there is nothing to listen to.
pub(crate) struct Wake {
    listener: Closure<dyn FnMut(Event)>,
    targets: Vec<(EventTarget, &'static str)>,
}

impl Wake {
    pub(crate) fn new(mut woken: impl FnMut(Input) + 'static) -> Self {
        let listener = Closure::<dyn FnMut(Event)>::new(move |event: Event| {
            if event.type_() == "online" {
                woken(Input::Online);
            } else if !is_hidden() {
                woken(Input::Visible);
            }
        });
        let global: JsValue = js_sys::global().into();
        let mut targets = Vec::new();
        for (target, name) in
            [(get(&global, "document"), "visibilitychange"), (global.clone(), "pageshow"), (global.clone(), "online")]
        {
            if get(&target, "addEventListener").is_function() {
                let target: EventTarget = target.unchecked_into();
                let added = target.add_event_listener_with_callback(name, listener.as_ref().unchecked_ref());
                if added.is_ok() {
                    targets.push((target, name));
                }
            }
        }
        Self { listener, targets }
    }
}

fn is_hidden() -> bool {
    get(&get(&js_sys::global(), "document"), "hidden").is_truthy()
}

impl Drop for Wake {
    fn drop(&mut self) {
        for (target, name) in &self.targets {
            // Removing what was added can't fail.
            let _ = target.remove_event_listener_with_callback(name, self.listener.as_ref().unchecked_ref());
        }
    }
}

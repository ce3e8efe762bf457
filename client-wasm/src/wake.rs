//! The page's own life: seen again, kept and back from the cache, frozen and going on, off line and on line (§8).

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
        let global: JsValue = js_sys::global().into();
        if get(&get(&global, "navigator"), "onLine") == JsValue::FALSE {
            woken(Input::Offline);
        }
        let listener = Closure::<dyn FnMut(Event)>::new(move |event: Event| {
            woken(match &*event.type_() {
                "online" => Input::Online,
                "offline" => Input::Offline,
                "freeze" => Input::Away,
                // A page that isn't kept is over, and its socket with it.
                "pagehide" if get(&event, "persisted").is_truthy() => Input::Away,
                "pagehide" => return,
                _ if is_hidden() => return,
                _ => Input::Visible,
            });
        });
        let document = get(&global, "document");
        let mut targets = Vec::new();
        for (target, name) in [
            (document.clone(), "visibilitychange"),
            (document.clone(), "freeze"),
            (document, "resume"),
            (global.clone(), "pagehide"),
            (global.clone(), "pageshow"),
            (global.clone(), "focus"),
            (global.clone(), "offline"),
            (global, "online"),
        ] {
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

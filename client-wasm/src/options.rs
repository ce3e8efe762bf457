//! The plain object of options, checked once.

use crate::{
    decode::{Invalid, decode},
    js,
};
use osbackend_client_core::Config;
use osbackend_protocol::{SUBPROTOCOL, schema::FINGERPRINT};
use serde::Deserialize;
use wasm_bindgen::prelude::*;
use web_sys::WebSocket;

#[derive(Deserialize)]
struct Url {
    url: String,
}

/// What a client is made with.
pub(crate) struct Options {
    pub(crate) url: String,
    pub(crate) config: Config,
    constructor: Option<js_sys::Function>,
}

impl Options {
    /// Takes `ClientOptions` (see `types.rs`).
    ///
    /// # Errors
    /// An `Error` that names the option.
    pub(crate) fn parse(options: &JsValue) -> Result<Self, JsValue> {
        let plain = js::plain(options)?;
        let Url { url } = decode(plain.clone()).map_err(wrong)?;
        let mut config: Config = decode(plain).map_err(wrong)?;
        config.schema = Some(FINGERPRINT.to_owned());
        let constructor = get(options, "WebSocket").dyn_into().ok();
        Ok(Self { url, config, constructor })
    }

    /// Opens a socket with the injected constructor, else with the global one of this moment.
    pub(crate) fn open(&self) -> Result<WebSocket, JsValue> {
        let constructor = match &self.constructor {
            Some(constructor) => constructor.clone(),
            None => get(&js_sys::global(), "WebSocket").dyn_into()?,
        };
        let arguments = js_sys::Array::of2(&JsValue::from_str(&self.url), &JsValue::from_str(SUBPROTOCOL));
        js_sys::Reflect::construct(&constructor, &arguments).map(JsCast::unchecked_into)
    }
}

fn wrong(Invalid(option): Invalid) -> JsValue {
    let mut message = "option has the wrong type: ".to_owned();
    message.push_str(option.unwrap_or("the object itself"));
    js_sys::TypeError::new(&message).into()
}

/// A property, `undefined` where there is none.
pub(crate) fn get(object: &JsValue, name: &str) -> JsValue {
    js_sys::Reflect::get(object, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED)
}

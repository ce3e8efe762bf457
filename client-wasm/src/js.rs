//! What is imported from JavaScript: `js/frames.js`, and the sink that the package gives.

use crate::hot::Core;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/js/frames.js")]
extern "C" {
    /// Milliseconds since the page began, monotonic.
    pub(crate) fn now() -> f64;

    /// A moment of [`now`] as a date, in milliseconds.
    #[wasm_bindgen(js_name = toDate)]
    pub(crate) fn to_date(moment: f64) -> f64;

    #[wasm_bindgen(catch)]
    pub(crate) fn plain(options: &JsValue) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn encode(payload: &JsValue) -> Result<Option<String>, JsValue>;

    /// Hands an exception of a listener to the page.
    pub(crate) fn report(error: &JsValue);

    pub(crate) type Receiver;

    #[wasm_bindgen(constructor)]
    pub(crate) fn new(sink: &Sink) -> Receiver;

    #[wasm_bindgen(method)]
    pub(crate) fn bind(this: &Receiver, core: Core);

    #[wasm_bindgen(method)]
    pub(crate) fn dispose(this: &Receiver);

    #[wasm_bindgen(method, getter)]
    pub(crate) fn onmessage(this: &Receiver) -> js_sys::Function;
}

#[wasm_bindgen]
extern "C" {
    /// Whom everything is told; see `types.rs`.
    #[wasm_bindgen(typescript_type = "Sink")]
    pub type Sink;

    #[wasm_bindgen(method, catch, js_name = needToken)]
    pub(crate) fn need_token(this: &Sink) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch)]
    pub(crate) fn state(this: &Sink, state: &JsValue) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch)]
    pub(crate) fn room(this: &Sink, room: &JsValue) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch)]
    pub(crate) fn reply(this: &Sink, id: f64, ok: bool, value: &JsValue) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = sendRefused)]
    pub(crate) fn send_refused(this: &Sink, kind: &str, payload: &JsValue, error: &JsValue) -> Result<(), JsValue>;
}

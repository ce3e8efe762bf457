//! The client in a real browser. The tests are JavaScript (`browser/fake.js`, `browser/real.js`), because what they
//! test is the class as JavaScript has it; here each gets its name and the means to make clients.
//!
//! Those of `real.js` need a running server and tokens: `cargo xtask test` starts one and says where by environment
//! variables at compile time. Without it, as where `wasm-pack test --headless --chrome client-wasm` is typed by hand, they are ignored.
#![cfg(target_arch = "wasm32")]

use osbackend_client_wasm::Client;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

/// `(options, sink) => new Client(options, sink)`; lives as long as the page.
fn make() -> JsValue {
    Closure::<dyn Fn(JsValue, JsValue) -> Result<JsValue, JsValue>>::new(|options: JsValue, sink: JsValue| {
        Client::new(&options, sink.unchecked_into()).map(JsValue::from)
    })
    .into_js_value()
}

/// Where the server is; a test that needs it fails without.
fn server() -> JsValue {
    let needed = |value: Option<&'static str>| {
        JsValue::from(value.expect("these tests need a server: run `cargo xtask test`, which starts one and passes OSB_TEST_*"))
    };
    let server = js_sys::Object::new();
    for (name, value) in [
        ("url", option_env!("OSB_TEST_WS_URL")),
        ("user", option_env!("OSB_TEST_USER_TOKEN")),
        ("admin", option_env!("OSB_TEST_ADMIN_TOKEN")),
    ] {
        let set = js_sys::Reflect::set(&server, &name.into(), &needed(value));
        assert!(set.is_ok_and(|done| done));
    }
    server.into()
}

// Named here, it is laid beside the others, which import it.
#[wasm_bindgen(module = "/tests/browser/support.js")]
extern "C" {
    /// A failure as text.
    fn describe(error: &JsValue) -> String;
}

async fn passes(test: js_sys::Promise) {
    if let Err(error) = JsFuture::from(test).await {
        panic!("{}", describe(&error));
    }
}

mod fake {
    use super::*;

    mod js {
        use super::*;

        #[wasm_bindgen(module = "/tests/browser/fake.js")]
        extern "C" {
            pub(super) fn handshake(make: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = eventsInOrderOnce)]
            pub(super) fn events_in_order_once(make: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = aSnapshotAgainIsFirstInItsRoom)]
            pub(super) fn a_snapshot_again_is_first_in_its_room(make: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = manyEventIdsAreRemembered)]
            pub(super) fn many_event_ids_are_remembered(make: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = whatOneRoomAloneBroughtIsRememberedToo)]
            pub(super) fn what_one_room_alone_brought_is_remembered_too(make: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = aGapHeals)]
            pub(super) fn a_gap_heals(make: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = requestsAndAnswers)]
            pub(super) fn requests_and_answers(make: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = inFlightFailsAtADrop)]
            pub(super) fn in_flight_fails_at_a_drop(make: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = theSocketDropsAndComesBack)]
            pub(super) fn the_socket_drops_and_comes_back(make: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = refusedForGood)]
            pub(super) fn refused_for_good(make: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = offlineTheQueueIsBounded)]
            pub(super) fn offline_the_queue_is_bounded(make: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = noTokenCounts)]
            pub(super) fn no_token_counts(make: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = theTokenIsRefreshedInPlace)]
            pub(super) fn the_token_is_refreshed_in_place(make: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = listenersMayThrow)]
            pub(super) fn listeners_may_throw(make: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = listenersMayCallBack)]
            pub(super) fn listeners_may_call_back(make: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = freedInTheMiddleOfABatch)]
            pub(super) fn freed_in_the_middle_of_a_batch(make: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = whatIsNotTheProtocolIsDropped)]
            pub(super) fn what_is_not_the_protocol_is_dropped(make: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = nullIsAsGoodAsLeftOut)]
            pub(super) fn null_is_as_good_as_left_out(make: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = mistakesOfTheCaller)]
            pub(super) fn mistakes_of_the_caller(make: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = anAddressThatIsNone)]
            pub(super) fn an_address_that_is_none(make: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = thePageComesBack)]
            pub(super) fn the_page_comes_back(make: JsValue) -> js_sys::Promise;
        }
    }

    #[wasm_bindgen_test]
    async fn handshake() {
        passes(js::handshake(make())).await;
    }

    #[wasm_bindgen_test]
    async fn events_in_order_once() {
        passes(js::events_in_order_once(make())).await;
    }

    #[wasm_bindgen_test]
    async fn a_snapshot_again_is_first_in_its_room() {
        passes(js::a_snapshot_again_is_first_in_its_room(make())).await;
    }

    #[wasm_bindgen_test]
    async fn many_event_ids_are_remembered() {
        passes(js::many_event_ids_are_remembered(make())).await;
    }

    #[wasm_bindgen_test]
    async fn what_one_room_alone_brought_is_remembered_too() {
        passes(js::what_one_room_alone_brought_is_remembered_too(make())).await;
    }

    #[wasm_bindgen_test]
    async fn a_gap_heals() {
        passes(js::a_gap_heals(make())).await;
    }

    #[wasm_bindgen_test]
    async fn requests_and_answers() {
        passes(js::requests_and_answers(make())).await;
    }

    #[wasm_bindgen_test]
    async fn in_flight_fails_at_a_drop() {
        passes(js::in_flight_fails_at_a_drop(make())).await;
    }

    #[wasm_bindgen_test]
    async fn the_socket_drops_and_comes_back() {
        passes(js::the_socket_drops_and_comes_back(make())).await;
    }

    #[wasm_bindgen_test]
    async fn refused_for_good() {
        passes(js::refused_for_good(make())).await;
    }

    #[wasm_bindgen_test]
    async fn offline_the_queue_is_bounded() {
        passes(js::offline_the_queue_is_bounded(make())).await;
    }

    #[wasm_bindgen_test]
    async fn no_token_counts() {
        passes(js::no_token_counts(make())).await;
    }

    #[wasm_bindgen_test]
    async fn the_token_is_refreshed_in_place() {
        passes(js::the_token_is_refreshed_in_place(make())).await;
    }

    #[wasm_bindgen_test]
    async fn listeners_may_throw() {
        passes(js::listeners_may_throw(make())).await;
    }

    #[wasm_bindgen_test]
    async fn listeners_may_call_back() {
        passes(js::listeners_may_call_back(make())).await;
    }

    #[wasm_bindgen_test]
    async fn freed_in_the_middle_of_a_batch() {
        passes(js::freed_in_the_middle_of_a_batch(make())).await;
    }

    #[wasm_bindgen_test]
    async fn what_is_not_the_protocol_is_dropped() {
        passes(js::what_is_not_the_protocol_is_dropped(make())).await;
    }

    #[wasm_bindgen_test]
    async fn null_is_as_good_as_left_out() {
        passes(js::null_is_as_good_as_left_out(make())).await;
    }

    #[wasm_bindgen_test]
    async fn mistakes_of_the_caller() {
        passes(js::mistakes_of_the_caller(make())).await;
    }

    #[wasm_bindgen_test]
    async fn an_address_that_is_none() {
        passes(js::an_address_that_is_none(make())).await;
    }

    #[wasm_bindgen_test]
    async fn the_page_comes_back() {
        passes(js::the_page_comes_back(make())).await;
    }
}

mod real {
    use super::*;

    mod js {
        use super::*;

        #[wasm_bindgen(module = "/tests/browser/real.js")]
        extern "C" {
            #[wasm_bindgen(js_name = connectsAndAuthenticates)]
            pub(super) fn connects_and_authenticates(make: JsValue, server: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = anEventReachesTheRoom)]
            pub(super) fn an_event_reaches_the_room(make: JsValue, server: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = oneEmissionInTwoRooms)]
            pub(super) fn one_emission_in_two_rooms(make: JsValue, server: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = theSnapshotComesWithTheJoin)]
            pub(super) fn the_snapshot_comes_with_the_join(make: JsValue, server: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = requestsAreAnswered)]
            pub(super) fn requests_are_answered(make: JsValue, server: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = aRoomIsRefused)]
            pub(super) fn a_room_is_refused(make: JsValue, server: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = aBadTokenClosesForGood)]
            pub(super) fn a_bad_token_closes_for_good(make: JsValue, server: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = whatWasMissedIsRecovered)]
            pub(super) fn what_was_missed_is_recovered(make: JsValue, server: JsValue) -> js_sys::Promise;
            #[wasm_bindgen(js_name = whatWasSentOfflineArrives)]
            pub(super) fn what_was_sent_offline_arrives(make: JsValue, server: JsValue) -> js_sys::Promise;
        }
    }

    #[cfg_attr(not(test_server), ignore = "needs a server: cargo xtask test wasm-browser")]
    #[wasm_bindgen_test]
    async fn connects_and_authenticates() {
        passes(js::connects_and_authenticates(make(), server())).await;
    }

    #[cfg_attr(not(test_server), ignore = "needs a server: cargo xtask test wasm-browser")]
    #[wasm_bindgen_test]
    async fn an_event_reaches_the_room() {
        passes(js::an_event_reaches_the_room(make(), server())).await;
    }

    #[cfg_attr(not(test_server), ignore = "needs a server: cargo xtask test wasm-browser")]
    #[wasm_bindgen_test]
    async fn one_emission_in_two_rooms() {
        passes(js::one_emission_in_two_rooms(make(), server())).await;
    }

    #[cfg_attr(not(test_server), ignore = "needs a server: cargo xtask test wasm-browser")]
    #[wasm_bindgen_test]
    async fn the_snapshot_comes_with_the_join() {
        passes(js::the_snapshot_comes_with_the_join(make(), server())).await;
    }

    #[cfg_attr(not(test_server), ignore = "needs a server: cargo xtask test wasm-browser")]
    #[wasm_bindgen_test]
    async fn requests_are_answered() {
        passes(js::requests_are_answered(make(), server())).await;
    }

    #[cfg_attr(not(test_server), ignore = "needs a server: cargo xtask test wasm-browser")]
    #[wasm_bindgen_test]
    async fn a_room_is_refused() {
        passes(js::a_room_is_refused(make(), server())).await;
    }

    #[cfg_attr(not(test_server), ignore = "needs a server: cargo xtask test wasm-browser")]
    #[wasm_bindgen_test]
    async fn a_bad_token_closes_for_good() {
        passes(js::a_bad_token_closes_for_good(make(), server())).await;
    }

    #[cfg_attr(not(test_server), ignore = "needs a server: cargo xtask test wasm-browser")]
    #[wasm_bindgen_test]
    async fn what_was_missed_is_recovered() {
        passes(js::what_was_missed_is_recovered(make(), server())).await;
    }

    #[cfg_attr(not(test_server), ignore = "needs a server: cargo xtask test wasm-browser")]
    #[wasm_bindgen_test]
    async fn what_was_sent_offline_arrives() {
        passes(js::what_was_sent_offline_arrives(make(), server())).await;
    }
}

//! Giving up is a rest: what ends it, and when it ends by itself.

use super::*;

/// A client that has used up the attempts of a series.
fn resting(config: Config) -> Rig {
    let mut rig = Rig::with(config);
    rig.input(Input::Connect);
    while !matches!(rig.machine.state(), ConnectionState::Closed { .. }) {
        rig.input(Input::Token(Ok(None)));
        rig.close(1006);
        if matches!(rig.machine.state(), ConnectionState::Reconnecting { .. }) {
            rig.ring();
        }
    }
    rig
}

fn without_rest() -> Config {
    Config { backoff: BackoffConfig { rest_ms: 0, ..BackoffConfig::default() }, ..Config::default() }
}

#[test]
fn every_sign_that_the_server_may_be_back_begins_a_new_series() {
    for input in [Input::Connect, Input::Online, Input::Visible] {
        for config in [Config::default(), without_rest()] {
            let mut rig = resting(config);
            let outputs = rig.input(input.clone());
            assert_eq!(outputs, [Output::State(ConnectionState::Connecting { attempt: 1 }), Output::NeedToken], "{input:?}");
            rig.open();
            assert!(!rig.control(Control::Greeting(Box::new(greeting(vec![])))).is_empty());
        }
    }
}

#[test]
fn without_a_rest_nothing_begins_by_itself() {
    let rig = resting(without_rest());
    assert!(matches!(rig.machine.state(), ConnectionState::Closed { retry_at_ms: None, .. }));
    assert_eq!(rig.machine.next_deadline(), None);
}

#[test]
fn a_rest_that_the_application_ends_stays_ended() {
    let mut rig = resting(Config::default());
    rig.input(Input::Disconnect);
    assert_eq!(rig.machine.state(), closed(None, "disconnected", None));
    assert_eq!((rig.machine.next_deadline(), rig.input(Input::Visible)), (None, vec![]));
}

#[test]
fn a_session_survives_the_rest() {
    let mut rig = Rig::live(vec![outcome("agent:7", "e", 5, false)]);
    rig.close(1006);
    while !matches!(rig.machine.state(), ConnectionState::Closed { .. }) {
        rig.ring();
        rig.input(Input::Token(Err("no".to_owned())));
    }
    rig.ring();
    let connect = rig.open();
    assert_eq!((connect.resume.is_some(), connect.rooms[0].offset), (true, Some(5)));
}

/// However long the server was away, and however the attempts of a client are spread: it is back within 90 s, and many clients
/// don't come at once.
#[test]
fn an_outage_of_any_length_is_over_within_90_seconds_and_the_server_is_not_stormed() {
    const CLIENTS: u64 = 200;
    for outage in [1_000, 60_000, 244_000, 250_000, 300_000, 3_600_000, 3_601_000, 86_400_000] {
        let mut seconds = std::collections::BTreeMap::<u64, u64>::new();
        for seed in 0..CLIENTS {
            let mut machine = Machine::new(Config::default(), seed, 0);
            machine.handle(Input::Connect, 0);
            let mut now = 0;
            loop {
                let mut needs_token = false;
                while let Some(output) = machine.poll_output() {
                    needs_token |= output == Output::NeedToken;
                }
                if needs_token {
                    if now >= outage {
                        break;
                    }
                    machine.handle(Input::Token(Ok(None)), now);
                    // Half of the attempts hang until their time is over, as where the machine is gone.
                    if seed % 2 == 0 {
                        machine.handle(Input::SocketClosed { code: 1006, reason: String::new() }, now);
                    }
                } else {
                    now = machine.next_deadline().expect("it goes on by itself");
                    machine.handle(Input::Timer, now);
                }
            }
            assert!(now - outage <= 90_000, "client {seed}: back {} ms after an outage of {outage} ms", now - outage);
            *seconds.entry((now - outage) / 1_000).or_default() += 1;
        }
        if outage > 60_000 {
            let busiest = seconds.values().max().copied().unwrap_or(0);
            assert!(busiest <= CLIENTS / 8, "{busiest} of {CLIENTS} clients within one second after {outage} ms");
        }
    }
}

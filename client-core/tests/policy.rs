//! `can()` answers as the server does: the evaluated policy of the greeting, taken through JSON into the machine, against
//! `allowed`, for random policies, identities, rooms and actions.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use osbackend_client_core::{Config, Control, Input, Machine};
use osbackend_protocol::{
    Action, Denied, EvaluatedPolicy, Identity, Policy, RoomName, allowed,
    permission::{Access, AnyOf, Pattern, Rule},
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Map, Value, json};

/// Few names and values, so that rules, claims and rooms meet.
const IDS: [&str; 9] = ["7", "70", "ada", "a b", "a%20b", "eu-7", "eu-", "Ü/x", "overview"];
const PREFIXES: [&str; 3] = ["agent", "user", "team"];

fn pattern() -> impl Strategy<Value = Pattern> {
    let prefix = || select(PREFIXES.to_vec());
    let text = prop_oneof![
        1 => Just("*".to_owned()),
        2 => prefix().prop_map(|prefix| format!("{prefix}:*")),
        1 => prefix().prop_map(|prefix| format!("{prefix}:eu-*")),
        1 => prefix().prop_map(|prefix| format!("{prefix}:a*")),
        2 => (prefix(), select(IDS.to_vec())).prop_map(|(prefix, id)| RoomName::with_id(prefix, id).unwrap().to_string()),
        2 => prefix().prop_map(|prefix| format!("{prefix}:{{sub}}")),
        2 => (prefix(), select(vec!["team", "app_metadata.teams", "missing"]), select(vec!["", "-x"]))
            .prop_map(|(prefix, claim, after)| format!("{prefix}:{{claim.{claim}}}{after}")),
    ];
    text.prop_map(|text| Pattern::parse(&text).unwrap())
}

fn access() -> impl Strategy<Value = AnyOf> {
    let one = select(vec![
        "public",
        "authenticated",
        "owner",
        "owner",
        "role:admin",
        "role:service_role",
        "role:editor",
        "claim:team=7",
        "claim:app_metadata.teams=ada",
        "nobody",
        "webhook",
    ]);
    vec(one.prop_map(|text| Access::parse(text).unwrap()), 1..3).prop_map(|list| AnyOf::new(list).unwrap())
}

fn policy() -> impl Strategy<Value = Policy> {
    let rule = (pattern(), access(), access(), access(), access()).prop_map(|(pattern, join, publish, presence, history)| Rule {
        publish,
        presence,
        history,
        ..Rule::new(pattern, join)
    });
    vec(rule, 0..8).prop_map(|rules| Policy { rules })
}

fn claim() -> impl Strategy<Value = Value> {
    let one = || prop_oneof![select(IDS.to_vec()).prop_map(Value::from), Just(json!(7)), Just(json!(null)), Just(json!(""))];
    prop_oneof![one(), vec(one(), 0..4).prop_map(Value::from)]
}

/// Entries of the `rooms` claim, the senseless included.
fn narrowing() -> impl Strategy<Value = Value> {
    let entry = select(vec![
        "*",
        "agent:*",
        "team:7",
        "user:ada",
        "user:a%20b",
        "*:7",
        "agent:eu-*",
        "ag*",
        "no room",
        "*:*",
        "",
        "{sub}",
    ]);
    prop_oneof![4 => vec(entry, 0..4).prop_map(Value::from), 1 => select(vec![json!(null), json!("agent:*"), json!({})])]
}

fn identity() -> impl Strategy<Value = Option<Identity>> {
    let role = option::of(select(vec!["admin", "service_role", "editor", "user"]));
    let who = (select(IDS.to_vec()), role, option::of(claim()), option::of(claim()), option::weighted(0.3, narrowing()))
        .prop_map(|(sub, role, team, teams, rooms)| {
            let mut claims = Map::new();
            claims.extend(team.map(|team| ("team".to_owned(), team)));
            claims.extend(teams.map(|teams| ("app_metadata".to_owned(), json!({"teams": teams}))));
            claims.extend(rooms.map(|rooms| ("rooms".to_owned(), rooms)));
            Identity { claims, ..Identity::new(sub, role) }
        });
    option::weighted(0.85, who)
}

fn rooms() -> Vec<RoomName> {
    let others = ["lobby:7", "agent:7-x", "team:ada-x", "agent:eu-8", "user:A"].map(|name| RoomName::parse(name).unwrap());
    let listed = PREFIXES.iter().flat_map(|prefix| IDS.map(|id| RoomName::with_id(prefix, id).unwrap()));
    listed.chain(others).collect()
}

/// A machine that was greeted with what the server tells `identity`.
fn greeted(policy: &Policy, identity: Option<&Identity>) -> Machine {
    let mut machine = Machine::new(Config::default(), 1, 0);
    for input in [Input::Connect, Input::Token(Ok(None)), Input::SocketOpened] {
        machine.handle(input, 0);
    }
    let text = serde_json::to_string(&json!({
        "clientId": "c", "authenticated": identity.is_some(), "protocol": 1, "heartbeatIntervalMs": 25_000,
        "policy": EvaluatedPolicy::of(policy, identity),
    }))
    .unwrap();
    let mut data = serde_json::Deserializer::from_str(&text);
    let control = Control::decode("connection_established", None, &mut data).unwrap().unwrap();
    machine.handle(Input::Control(control), 0);
    machine
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn can_answers_as_the_server(policy in policy(), identity in identity()) {
        let machine = greeted(&policy, identity.as_ref());
        for room in rooms() {
            for action in Action::ALL {
                let server = allowed(&policy, identity.as_ref(), &room, action);
                // What only the backend decides is false in the browser.
                prop_assert_eq!(machine.can(&room, action), server.is_ok(), "{} {:?}: {:?}", room, action, server);
            }
        }
    }

    #[test]
    fn the_rooms_claim_never_widens(policy in policy(), identity in identity(), narrowing in narrowing()) {
        let Some(mut narrowed) = identity else { return Ok(()) };
        narrowed.claims.remove("rooms");
        let wide = narrowed.clone();
        narrowed.claims.insert("rooms".to_owned(), narrowing);
        for room in rooms() {
            for action in Action::ALL {
                match allowed(&policy, Some(&narrowed), &room, action) {
                    Err(Denied::OutsideToken) => {}
                    other => prop_assert_eq!(other, allowed(&policy, Some(&wide), &room, action)),
                }
            }
        }
    }

    #[test]
    fn an_explanation_says_what_is_decided(policy in policy(), identity in identity()) {
        for room in rooms() {
            let explanation = osbackend_protocol::permission::explain(&policy, identity.as_ref(), &room);
            for action in Action::ALL {
                prop_assert_eq!(explanation.allows(action), allowed(&policy, identity.as_ref(), &room, action).is_ok());
            }
            let deciding = policy.rules.iter().position(|rule| rule.pattern.matches(identity.as_ref(), &room));
            let matched = explanation.looked_at.iter().find(|rule| rule.matches).map(|rule| rule.index);
            prop_assert_eq!(matched, deciding);
        }
    }
}

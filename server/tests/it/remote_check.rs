//! Tokens that Supabase itself is asked about: when it is, how long an answer counts, and an outage that is no refusal.

use std::time::Duration;

use osbackend_server::auth::{AuthError, Authenticator, Moment, Verified};
use osbackend_server::config::Config;
use serde_json::{Value, json};

use crate::support::keys::hs256;
use crate::support::soon;
use crate::support::supabase::{ANON_KEY, LEGACY_SECRET, Mood, Supabase, now_seconds};

fn with_key(config: &mut Config) {
    config.auth.supabase_anon_key = Some(ANON_KEY.into());
}

async fn project() -> (Supabase, Authenticator) {
    let supabase = Supabase::start(&[]).await;
    let auth = supabase.authenticator(with_key);
    (supabase, auth)
}

async fn check(auth: &Authenticator, token: &str, at: Moment) -> Result<Verified, AuthError> {
    soon("a check", auth.verify_at(token, at)).await
}

#[tokio::test]
async fn a_legacy_token_is_asked_about_and_the_answer_kept_for_a_minute() {
    let (supabase, auth) = project().await;
    let (start, seconds) = (Moment::now(), Duration::from_secs);
    let token = supabase.session(&supabase.claims_with("ada", &json!({"app_metadata": {"role": "editor"}})));
    for (after, asked) in [(0, 1), (59, 1), (60, 2), (119, 2), (120, 3)] {
        let verified = check(&auth, &token, start.later(seconds(after))).await.unwrap();
        assert_eq!((verified.identity.sub.as_str(), verified.identity.role.as_deref()), ("ada", Some("editor")));
        assert_eq!(supabase.asked_for_user(), asked, "after {after} s");
    }
    let other = supabase.session(&supabase.claims("bob"));
    assert_eq!(check(&auth, &other, start.later(seconds(121))).await.unwrap().identity.sub, "bob");
    assert_eq!(supabase.asked_for_user(), 4);
}

#[tokio::test]
async fn an_answer_never_outlives_the_token() {
    let (supabase, auth) = project().await;
    let (start, seconds) = (Moment::now(), Duration::from_secs);
    let token = supabase.session(&supabase.claims_with("ada", &json!({"exp": now_seconds() + 30})));
    check(&auth, &token, start).await.unwrap();
    assert_eq!(check(&auth, &token, start.later(seconds(40))).await, Err(AuthError::Expired));
    assert_eq!(supabase.asked_for_user(), 1);
}

#[tokio::test]
async fn what_supabase_does_not_know_is_refused_and_not_asked_about_again_at_once() {
    let (supabase, auth) = project().await;
    let (start, seconds) = (Moment::now(), Duration::from_secs);
    let forged =
        hs256(b"a guess", &json!({"alg": "HS256"}), &supabase.claims_with("eve", &json!({"app_metadata": {"role": "admin"}})));
    for after in [0, 1, 59] {
        assert_eq!(check(&auth, &forged, start.later(seconds(after))).await, Err(AuthError::Rejected));
    }
    assert_eq!(supabase.asked_for_user(), 1);

    let token = supabase.session(&supabase.claims("ada"));
    check(&auth, &token, start).await.unwrap();
    supabase.sign_out(&token);
    check(&auth, &token, start.later(seconds(59))).await.unwrap();
    assert_eq!(check(&auth, &token, start.later(seconds(60))).await, Err(AuthError::Rejected), "who signed out is out");
}

#[tokio::test]
async fn an_outage_is_no_refusal_and_is_not_kept() {
    let (supabase, auth) = project().await;
    let token = supabase.session(&supabase.claims("ada"));
    let start = Moment::now();
    let moods = [Mood::Failing(500), Mood::Failing(429), Mood::Endless, Mood::Nonsense, Mood::Redirecting, Mood::RefusingTheKey];
    for mood in moods {
        supabase.mood(mood);
        assert_eq!(check(&auth, &token, start).await, Err(AuthError::Unavailable));
    }
    assert_eq!(supabase.asked_elsewhere(), 0, "a token is not carried to where a redirect points");
    supabase.mood(Mood::Well);
    check(&auth, &token, start).await.unwrap();
    // What was said before the outage counts through it, for its minute.
    supabase.mood(Mood::Failing(503));
    check(&auth, &token, start.later(Duration::from_secs(59))).await.unwrap();
    assert_eq!(check(&auth, &token, start.later(Duration::from_secs(60))).await, Err(AuthError::Unavailable));
}

#[tokio::test]
async fn a_slow_answer_is_not_waited_for() {
    let supabase = Supabase::start(&[]).await;
    let auth = supabase.authenticator(|config| {
        with_key(config);
        config.auth.fetch_timeout = Duration::from_millis(50);
    });
    supabase.mood(Mood::Hanging);
    let token = supabase.session(&supabase.claims("ada"));
    // More than may be asked at once: those that wait their turn don't wait for ever either.
    let checks = (0..40).map(|_| check(&auth, &token, Moment::now()));
    for outcome in futures_util::future::join_all(checks).await {
        assert_eq!(outcome, Err(AuthError::Unavailable));
    }
}

#[tokio::test]
async fn the_answer_tells_the_role_and_must_be_about_the_same_user() {
    let (supabase, auth) = project().await;
    let claims = supabase.claims_with("ada", &json!({"app_metadata": {"role": "admin"}}));
    let token = supabase.session(&claims);
    // Demoted since the token was made.
    let user = |id: &str, role: &str, app: Value| json!({"id": id, "role": role, "app_metadata": app, "user_metadata": {"role": "admin"}});
    supabase.answer(&token, user("ada", "authenticated", json!({})));
    let verified = check(&auth, &token, Moment::now()).await.unwrap();
    assert!(!verified.identity.is_admin());

    let fresh = supabase.authenticator(with_key);
    supabase.answer(&token, user("eve", "authenticated", json!({})));
    assert_eq!(check(&fresh, &token, Moment::now()).await, Err(AuthError::Rejected));
    let fresh = supabase.authenticator(with_key);
    supabase.answer(&token, user("ada", "service_role", json!({})));
    assert_eq!(check(&fresh, &token, Moment::now()).await, Err(AuthError::NotAUser));
}

#[tokio::test]
async fn what_can_not_be_good_is_not_asked_about() {
    let (supabase, auth) = project().await;
    for changes in [
        json!({"exp": 1}),
        json!({"exp": null}),
        json!({"exp": (now_seconds() + 60).to_string()}),
        json!({"aud": "other"}),
        json!({"iss": "https://evil.example/auth/v1"}),
        json!({"nbf": now_seconds() + 600}),
        json!({"sub": null}),
        json!({"role": "anon"}),
        json!({"role": "service_role"}),
    ] {
        let token = supabase.session(&supabase.claims_with("ada", &changes));
        check(&auth, &token, Moment::now()).await.unwrap_err();
    }
    assert_eq!(check(&auth, ANON_KEY, Moment::now()).await, Err(AuthError::NotAUser));
    assert_eq!(supabase.asked_for_user(), 0);
}

#[tokio::test]
async fn with_the_legacy_secret_nobody_is_asked() {
    let supabase = Supabase::start(&[]).await;
    let auth = supabase.authenticator(|config| {
        with_key(config);
        config.auth.supabase_jwt_secret = Some(LEGACY_SECRET.into());
    });
    let good = supabase.session(&supabase.claims("ada"));
    assert_eq!(check(&auth, &good, Moment::now()).await.unwrap().identity.sub, "ada");
    let wrong_iss = supabase.session(&supabase.claims_with("ada", &json!({"iss": "https://evil.example/auth/v1"})));
    assert_eq!(check(&auth, &wrong_iss, Moment::now()).await, Err(AuthError::Issuer));
    let forged = hs256(b"a guess", &json!({"alg": "HS256"}), &supabase.claims("ada"));
    assert_eq!(check(&auth, &forged, Moment::now()).await, Err(AuthError::Signature));
    assert_eq!((supabase.asked_for_user(), supabase.asked_for_keys()), (0, 0));
}

#[tokio::test]
async fn without_a_key_or_a_secret_legacy_tokens_are_not_accepted() {
    let supabase = Supabase::start(&[]).await;
    let token = supabase.session(&supabase.claims("ada"));
    assert_eq!(check(&supabase.authenticator(|_| {}), &token, Moment::now()).await, Err(AuthError::Algorithm));
    assert_eq!(supabase.asked_for_user(), 0);
}

#[tokio::test]
async fn beside_a_secret_of_the_servers_only_what_it_did_not_sign_is_asked_about() {
    let supabase = Supabase::start(&[]).await;
    let secret = "its own secret, 32 bytes and more";
    let auth = supabase.authenticator(|config| {
        with_key(config);
        config.auth.jwt_secret = Some(secret.into());
    });
    let own = |claims: Value| hs256(secret.as_bytes(), &json!({"alg": "HS256"}), &claims);
    let good = own(json!({"sub": "own", "exp": now_seconds() + 60}));
    assert_eq!(check(&auth, &good, Moment::now()).await.unwrap().identity.sub, "own");
    assert_eq!(check(&auth, &own(supabase.claims_with("own", &json!({"exp": 1}))), Moment::now()).await, Err(AuthError::Expired));
    let badly_signed = hs256(b"a guess", &json!({"alg": "HS256"}), &json!({"sub": "own", "exp": now_seconds() + 60}));
    assert_eq!(check(&auth, &badly_signed, Moment::now()).await, Err(AuthError::Signature));
    assert_eq!(supabase.asked_for_user(), 0);
    let theirs = supabase.session(&supabase.claims("theirs"));
    assert_eq!(check(&auth, &theirs, Moment::now()).await.unwrap().identity.sub, "theirs");
    assert_eq!(supabase.asked_for_user(), 1);
}

#[tokio::test]
async fn invented_tokens_from_one_address_cost_little_and_crowd_out_nobody_who_is_known() {
    let (supabase, auth) = project().await;
    let now = Moment::now();
    let from = |last: u8| Some(std::net::IpAddr::from([192, 0, 2, last]));
    let check_from = async |token: &str, last: u8, at: Moment| soon("a check", auth.verify_from_at(token, from(last), at)).await;
    let ada = |n: u64| supabase.session(&supabase.claims_with("ada", &json!({"n": n})));
    check_from(&ada(1), 1, now).await.unwrap();

    let invented = |n: u64| hs256(b"a guess", &json!({"alg": "HS256"}), &supabase.claims_with(&format!("x-{n}"), &json!({})));
    let mut outcomes = [0, 0];
    for n in 0..500 {
        match check_from(&invented(n), 1, now).await {
            Err(AuthError::Rejected) => outcomes[0] += 1,
            Err(AuthError::Unavailable) => outcomes[1] += 1,
            other => panic!("{other:?}"),
        }
    }
    // Those that are at once, but for hers; all others are told to come again, without a question.
    assert_eq!((outcomes, supabase.asked_for_user()), ([49, 451], 50));
    // Who is known is asked about, also from there, and so is who comes from elsewhere.
    check_from(&ada(2), 1, now).await.unwrap();
    check_from(&supabase.session(&supabase.claims("bob")), 2, now).await.unwrap();

    // Questions that hang hold the turns of those who aren't known, and no others.
    supabase.mood(Mood::Hanging);
    let hanging: Vec<_> = (1_000..1_030_u64)
        .map(|n| {
            let (auth, token) = (auth.clone(), invented(n));
            tokio::spawn(async move { auth.verify_from_at(&token, from(3), now).await })
        })
        .collect();
    supabase.user_is_asked_for(52 + 8).await;
    let (auth_of_ada, token) = (auth.clone(), ada(3));
    let login = tokio::spawn(async move { auth_of_ada.verify_from_at(&token, from(3), now).await });
    supabase.user_is_asked_for(52 + 8 + 1).await;
    supabase.mood(Mood::Well);
    login.await.unwrap().unwrap();
    for refused in hanging {
        refused.await.unwrap().unwrap_err();
    }
}

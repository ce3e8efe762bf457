//! Tokens that are checked with an issuer's published keys: what is accepted, each way of being refused, and how keys are kept.

use std::sync::OnceLock;
use std::time::Duration;

use osbackend_server::auth::{AuthError, Authenticator, Moment};
use serde_json::{Value, json};

use crate::support::keys::{IssuerKey, hs256, message};
use crate::support::soon;
use crate::support::supabase::{Mood, Supabase, now_seconds};

const MINUTE: Duration = Duration::from_secs(60);

/// A project with one key of each kind.
struct Project {
    supabase: Supabase,
    ec: IssuerKey,
    ed: IssuerKey,
    /// One for all tests: it takes long to make.
    rsa: &'static IssuerKey,
    auth: Authenticator,
}

impl Project {
    async fn start() -> Self {
        static RSA: OnceLock<IssuerKey> = OnceLock::new();
        let rsa = RSA.get_or_init(|| IssuerKey::rs256("rsa-1"));
        let (ec, ed) = (IssuerKey::es256("ec-1"), IssuerKey::eddsa("ed-1"));
        let supabase = Supabase::start(&[&ec, &ed, rsa]).await;
        let auth = supabase.authenticator(|_| {});
        Self { supabase, ec, ed, rsa, auth }
    }

    /// The refusal of a token whose claims differ so.
    async fn refusal(&self, changes: Value) -> AuthError {
        let token = self.ec.sign(&self.supabase.claims_with("ada", &changes));
        self.auth.verify(&token).await.unwrap_err()
    }
}

async fn sub(auth: &Authenticator, token: &str, at: Moment) -> Result<String, AuthError> {
    soon("a check", auth.verify_at(token, at)).await.map(|verified| verified.identity.sub)
}

#[tokio::test]
async fn es256_rs256_and_eddsa_tokens_are_checked_with_the_published_keys() {
    let project = Project::start().await;
    for key in [&project.ec, &project.ed, project.rsa] {
        let claims = project.supabase.claims_with("ada", &json!({"app_metadata": {"role": "editor"}}));
        let verified = project.auth.verify(&key.sign(&claims)).await.unwrap();
        assert_eq!((verified.identity.sub.as_str(), verified.identity.role.as_deref()), ("ada", Some("editor")));
        assert_eq!(verified.expires_at_ms, claims["exp"].as_u64().unwrap() * 1000);
        assert_eq!(verified.identity.claims.get("user_metadata"), None);
    }
    assert_eq!(project.supabase.asked_for_keys(), 1);
}

#[tokio::test]
async fn authority_comes_from_app_metadata_and_never_from_user_metadata() {
    let project = Project::start().await;
    let is_admin = async |changes: Value| {
        let token = project.ec.sign(&project.supabase.claims_with("ada", &changes));
        project.auth.verify(&token).await.unwrap().identity.is_admin()
    };
    assert!(!is_admin(json!({})).await, "the stub's user_metadata says admin");
    assert!(is_admin(json!({"app_metadata": {"role": "admin"}})).await);
}

#[tokio::test]
async fn alg_none_is_refused() {
    let project = Project::start().await;
    let claims = project.supabase.claims("ada");
    for alg in ["none", "None", "NONE", ""] {
        let unsigned = message(&json!({"alg": alg, "kid": "ec-1"}), &claims);
        for token in [format!("{unsigned}."), format!("{unsigned}.AAAA"), unsigned.clone()] {
            assert_eq!(project.auth.verify(&token).await, Err(AuthError::Malformed), "{alg}");
        }
    }
    let no_alg = message(&json!({"kid": "ec-1"}), &claims);
    assert_eq!(project.auth.verify(&format!("{no_alg}.AAAA")).await, Err(AuthError::Malformed));
}

#[tokio::test]
async fn a_public_key_is_no_secret_rs_to_hs_confusion() {
    let project = Project::start().await;
    let claims = project.supabase.claims("ada");
    let header = json!({"alg": "HS256", "kid": "rsa-1"});
    // With a secret configured as well, so that HS256 is an algorithm that this server takes.
    let both = project.supabase.authenticator(|config| config.auth.jwt_secret = Some("its own secret, 32 bytes and more".into()));
    for form in project.rsa.public_forms() {
        let forged = hs256(&form, &header, &claims);
        assert_eq!(project.auth.verify(&forged).await, Err(AuthError::Algorithm));
        assert_eq!(both.verify(&forged).await, Err(AuthError::Signature));
    }
}

#[tokio::test]
async fn a_key_is_bound_to_its_algorithm() {
    let project = Project::start().await;
    let claims = project.supabase.claims("ada");
    for (alg, kid) in [("RS256", "ec-1"), ("ES256", "rsa-1"), ("EdDSA", "ec-1"), ("ES256", "ed-1")] {
        let token = project.ec.sign_as(&json!({"alg": alg, "kid": kid}), &claims);
        assert_eq!(project.auth.verify(&token).await, Err(AuthError::Algorithm), "{alg} with {kid}");
    }
    for alg in ["RS384", "RS512", "PS256", "ES384", "HS512"] {
        let token = project.rsa.sign_as(&json!({"alg": alg, "kid": "rsa-1"}), &claims);
        assert_eq!(project.auth.verify(&token).await, Err(AuthError::Algorithm), "{alg}");
    }
    // A set that calls an RSA key HS256, or has a symmetric key, gives nobody a secret.
    let mut mislabelled = project.rsa.jwk();
    mislabelled["alg"] = "HS256".into();
    let symmetric = json!({"kty": "oct", "kid": "oct-1", "alg": "HS256", "k": "c2VjcmV0"});
    project.supabase.publish(vec![mislabelled, symmetric]);
    let fresh = project.supabase.authenticator(|_| {});
    assert_eq!(fresh.verify(&project.rsa.sign(&claims)).await, Err(AuthError::UnknownKey));
    assert_eq!(
        fresh.verify(&hs256(b"secret", &json!({"alg": "HS256", "kid": "oct-1"}), &claims)).await,
        Err(AuthError::Algorithm)
    );
}

#[tokio::test]
async fn another_key_of_the_same_name_is_refused() {
    let project = Project::start().await;
    for forger in [IssuerKey::es256("ec-1"), IssuerKey::eddsa("ed-1"), IssuerKey::rs256("rsa-1")] {
        let token = forger.sign(&project.supabase.claims("ada"));
        assert_eq!(project.auth.verify(&token).await, Err(AuthError::Signature));
    }
    let good = project.ec.sign(&project.supabase.claims("ada"));
    let other = project.ec.sign(&project.supabase.claims("eve"));
    let (head, signature) = (other.rsplit_once('.').unwrap().0, good.rsplit_once('.').unwrap().1);
    assert_eq!(project.auth.verify(&format!("{head}.{signature}")).await, Err(AuthError::Signature));
}

#[tokio::test]
async fn a_string_exp_is_refused() {
    let project = Project::start().await;
    let error = project.refusal(json!({"exp": (now_seconds() + 600).to_string()})).await;
    assert!(matches!(error, AuthError::BadClaim { claim: "exp", .. }), "{error:?}");
}

#[tokio::test]
async fn a_missing_exp_is_refused() {
    assert_eq!(Project::start().await.refusal(json!({"exp": null})).await, AuthError::MissingClaim("exp"));
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    assert_eq!(Project::start().await.refusal(json!({"exp": now_seconds() - 60})).await, AuthError::Expired);
}

#[tokio::test]
async fn a_wrong_aud_is_refused() {
    let project = Project::start().await;
    for aud in [json!("anon"), json!("authenticated2"), json!(["other"]), json!(7)] {
        assert_eq!(project.refusal(json!({ "aud": aud })).await, AuthError::Audience);
    }
    assert_eq!(project.refusal(json!({"aud": null})).await, AuthError::MissingClaim("aud"));
}

#[tokio::test]
async fn a_wrong_iss_is_refused() {
    let project = Project::start().await;
    let url = &project.supabase.url;
    for iss in
        ["https://evil.supabase.co/auth/v1".to_owned(), url.clone(), format!("{url}/auth/v1/"), format!("{url}/auth/v1.evil")]
    {
        assert_eq!(project.refusal(json!({ "iss": iss })).await, AuthError::Issuer);
    }
    assert_eq!(project.refusal(json!({"iss": null})).await, AuthError::MissingClaim("iss"));
}

#[tokio::test]
async fn a_future_nbf_is_refused() {
    let project = Project::start().await;
    assert_eq!(project.refusal(json!({"nbf": now_seconds() + 600})).await, AuthError::NotYetValid);
    let error = project.refusal(json!({"nbf": "later"})).await;
    assert!(matches!(error, AuthError::BadClaim { claim: "nbf", .. }), "{error:?}");
}

#[tokio::test]
async fn an_unknown_kid_or_none_is_refused() {
    let project = Project::start().await;
    let claims = project.supabase.claims("ada");
    let unknown = project.ec.sign_as(&json!({"alg": "ES256", "kid": "ec-2"}), &claims);
    assert_eq!(project.auth.verify(&unknown).await, Err(AuthError::UnknownKey));
    let none = project.ec.sign_as(&json!({"alg": "ES256"}), &claims);
    assert_eq!(project.auth.verify(&none).await, Err(AuthError::UnknownKey));
}

#[tokio::test]
async fn anon_and_service_keys_are_no_users_tokens() {
    let project = Project::start().await;
    for role in ["anon", "service_role"] {
        // As Supabase makes them, and with everything that a user's token has.
        let key = json!({"iss": "supabase", "ref": "abcdefgh", "role": role, "iat": 1, "exp": now_seconds() + 600});
        assert_eq!(project.auth.verify(&project.ec.sign(&key)).await, Err(AuthError::NotAUser));
        assert_eq!(project.refusal(json!({ "role": role })).await, AuthError::NotAUser);
    }
    for key in ["sb_publishable_abc", "sb_secret_abc"] {
        assert_eq!(project.auth.verify(key).await, Err(AuthError::NotAUser));
    }
}

#[tokio::test]
async fn keys_are_kept_for_ten_minutes() {
    let project = Project::start().await;
    let start = Moment::now();
    let token = project.ec.sign(&project.supabase.claims("ada"));
    for (minutes, asked) in [(0, 1), (9, 1), (10, 2), (19, 2), (20, 3)] {
        assert_eq!(sub(&project.auth, &token, start.later(MINUTE * minutes)).await.as_deref(), Ok("ada"));
        assert_eq!(project.supabase.asked_for_keys(), asked, "after {minutes} minutes");
    }
}

#[tokio::test]
async fn a_key_that_was_withdrawn_counts_for_ten_minutes_at_most() {
    let project = Project::start().await;
    let start = Moment::now();
    let token = project.ec.sign(&project.supabase.claims("ada"));
    sub(&project.auth, &token, start).await.unwrap();
    project.supabase.rotate(&[&project.ed]);
    sub(&project.auth, &token, start.later(9 * MINUTE)).await.unwrap();
    assert_eq!(sub(&project.auth, &token, start.later(10 * MINUTE)).await, Err(AuthError::UnknownKey));
}

#[tokio::test]
async fn a_new_key_is_asked_for_at_once_and_then_once_in_thirty_seconds() {
    let project = Project::start().await;
    let (start, seconds) = (Moment::now(), Duration::from_secs);
    let claims = project.supabase.claims("ada");
    sub(&project.auth, &project.ec.sign(&claims), start).await.unwrap();
    let second = IssuerKey::es256("ec-2");
    project.supabase.rotate(&[&project.ec, &second]);
    assert_eq!(sub(&project.auth, &second.sign(&claims), start.later(seconds(1))).await.as_deref(), Ok("ada"));
    assert_eq!(project.supabase.asked_for_keys(), 2);

    // Anyone can invent a kid: many of them cost one request in thirty seconds.
    let invented =
        |n: usize, claims: &Value| project.ec.sign_as(&json!({"alg": "ES256", "kid": format!("invented-{n}")}), claims);
    assert_eq!(sub(&project.auth, &invented(0, &claims), start.later(seconds(2))).await, Err(AuthError::UnknownKey));
    for n in 1..50 {
        assert_eq!(sub(&project.auth, &invented(n, &claims), start.later(seconds(2))).await, Err(AuthError::Unavailable));
    }
    assert_eq!(project.supabase.asked_for_keys(), 3);
    // A token that is older than the keys that came can't be signed with one that they lack; one that is not may be.
    let issued = |at: u64| project.supabase.claims_with("ada", &json!({"iat": at}));
    assert_eq!(
        sub(&project.auth, &invented(50, &issued(now_seconds() - 70)), start.later(seconds(3))).await,
        Err(AuthError::UnknownKey)
    );
    assert_eq!(
        sub(&project.auth, &invented(51, &issued(now_seconds() - 40)), start.later(seconds(3))).await,
        Err(AuthError::Unavailable)
    );
    // Who has a token of a key that came since the last question is told to come again, not to go.
    let third = IssuerKey::eddsa("ed-3");
    project.supabase.rotate(&[&second, &third]);
    assert_eq!(sub(&project.auth, &third.sign(&claims), start.later(seconds(31))).await, Err(AuthError::Unavailable));
    assert_eq!(sub(&project.auth, &third.sign(&claims), start.later(seconds(32))).await.as_deref(), Ok("ada"));
    assert_eq!(project.supabase.asked_for_keys(), 4);
}

#[tokio::test]
async fn many_checks_at_once_ask_once() {
    let project = Project::start().await;
    let token = project.ec.sign(&project.supabase.claims("ada"));
    project.supabase.mood(Mood::Hanging);
    let start = Moment::now();
    let checks: Vec<_> = (0..100)
        .map(|_| {
            let (auth, token) = (project.auth.clone(), token.clone());
            tokio::spawn(async move { sub(&auth, &token, start).await })
        })
        .collect();
    project.supabase.keys_are_asked_for(1).await;
    project.supabase.mood(Mood::Well);
    for check in checks {
        assert_eq!(check.await.unwrap().as_deref(), Ok("ada"));
    }
    assert_eq!(project.supabase.asked_for_keys(), 1);
}

#[tokio::test]
async fn who_hangs_up_while_keys_are_fetched_takes_nothing_from_the_others() {
    let project = Project::start().await;
    let token = project.ec.sign(&project.supabase.claims("ada"));
    project.supabase.mood(Mood::Hanging);
    let (auth, gone) = (project.auth.clone(), token.clone());
    let hanging = tokio::spawn(async move { auth.verify(&gone).await });
    project.supabase.keys_are_asked_for(1).await;
    hanging.abort();
    assert!(hanging.await.unwrap_err().is_cancelled());
    project.supabase.mood(Mood::Well);
    assert_eq!(sub(&project.auth, &token, Moment::now()).await.as_deref(), Ok("ada"));
    assert_eq!(project.supabase.asked_for_keys(), 1, "the request of the one that went away was used");
}

#[tokio::test]
async fn stale_keys_are_used_while_the_issuer_fails() {
    let project = Project::start().await;
    let start = Moment::now();
    let token = project.ec.sign(&project.supabase.claims_with("ada", &json!({"exp": now_seconds() + 3 * 86_400})));
    sub(&project.auth, &token, start).await.unwrap();
    project.supabase.mood(Mood::Failing(500));
    let after = |seconds| start.later(10 * MINUTE + Duration::from_secs(seconds));
    for (seconds, asked) in [(0, 2), (29, 2), (30, 3)] {
        assert_eq!(sub(&project.auth, &token, after(seconds)).await.as_deref(), Ok("ada"));
        assert_eq!(project.supabase.asked_for_keys(), asked, "{seconds} s after the keys got old");
    }
    // A kid that the old keys don't have may be a new key: that can't be told now.
    let new = IssuerKey::es256("ec-2");
    let claims = project.supabase.claims("bob");
    assert_eq!(sub(&project.auth, &new.sign(&claims), after(31)).await, Err(AuthError::Unavailable));
    // For a day, not for ever.
    assert_eq!(sub(&project.auth, &token, start.later(24 * 60 * MINUTE)).await, Err(AuthError::Unavailable));
    project.supabase.mood(Mood::Well);
    assert_eq!(sub(&project.auth, &token, start.later(24 * 60 * MINUTE + MINUTE)).await.as_deref(), Ok("ada"));
}

#[tokio::test]
async fn without_any_keys_a_failing_issuer_is_no_invalid_token() {
    for mood in [Mood::Failing(500), Mood::Failing(404), Mood::Endless, Mood::Nonsense, Mood::Redirecting] {
        let project = Project::start().await;
        let (start, token) = (Moment::now(), project.ec.sign(&project.supabase.claims("ada")));
        project.supabase.mood(mood);
        for seconds in [0, 1, 4] {
            assert_eq!(sub(&project.auth, &token, start.later(Duration::from_secs(seconds))).await, Err(AuthError::Unavailable));
        }
        assert_eq!((project.supabase.asked_for_keys(), project.supabase.asked_elsewhere()), (1, 0));
        project.supabase.mood(Mood::Well);
        assert_eq!(sub(&project.auth, &token, start.later(Duration::from_secs(5))).await.as_deref(), Ok("ada"));
    }
}

#[tokio::test]
async fn a_slow_issuer_is_not_waited_for() {
    let project = Project::start().await;
    let auth = project.supabase.authenticator(|config| config.auth.fetch_timeout = Duration::from_millis(50));
    project.supabase.mood(Mood::Hanging);
    let token = project.ec.sign(&project.supabase.claims("ada"));
    assert_eq!(sub(&auth, &token, Moment::now()).await, Err(AuthError::Unavailable));
}

#[tokio::test]
async fn what_only_another_source_can_check_does_not_wait_for_the_issuer() {
    let project = Project::start().await;
    project.supabase.mood(Mood::Hanging);
    let secret = "its own secret, 32 bytes and more";
    let both = project.supabase.authenticator(|config| config.auth.jwt_secret = Some(secret.into()));
    let own = osbackend_server::auth::mint::Token::for_user("own").sign(&secret.into()).unwrap();
    assert_eq!(sub(&both, &own, Moment::now()).await.as_deref(), Ok("own"));
    assert_eq!(project.supabase.asked_for_keys(), 0);
    project.supabase.mood(Mood::Well);
    let theirs = project.ec.sign(&project.supabase.claims("theirs"));
    assert_eq!(sub(&both, &theirs, Moment::now()).await.as_deref(), Ok("theirs"));
    let expired = project.ec.sign(&project.supabase.claims_with("ada", &json!({"exp": 1})));
    assert_eq!(sub(&both, &expired, Moment::now()).await, Err(AuthError::Expired));
}

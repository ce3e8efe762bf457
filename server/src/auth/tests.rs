//! Tokens against a real verify: what is accepted, and each way of being refused.

use futures_util::FutureExt as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use osbackend_protocol::ErrorCode;
use serde_json::{Value, json};

use super::*;
use crate::config::{Config, Secret};

const NOW: u64 = 1_800_000_000;

fn now() -> Moment {
    Moment { unix_seconds: NOW, ..Moment::now() }
}

/// The answer of a check that asks nobody, at [`NOW`].
fn verify_with(auth: &Authenticator, token: &str) -> Result<Verified, AuthError> {
    auth.verify_at(token, now()).now_or_never().expect("nobody is asked")
}

fn secret() -> Secret {
    "a secret for tests, longer than 32 bytes".into()
}

fn signed(claims: &Value) -> String {
    signed_as(Algorithm::HS256, claims)
}

fn signed_as(algorithm: Algorithm, claims: &Value) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret().reveal().as_bytes())).unwrap()
}

fn verify(claims: &Value) -> Result<Verified, AuthError> {
    verify_with(&Authenticator::hs256(&secret()), &signed(claims))
}

#[tokio::test]
async fn a_minted_token_verifies() {
    let token = mint::Token::for_user("ada").role("admin").claim("team", "blue").sign(&secret()).unwrap();
    let verified = Authenticator::hs256(&secret()).verify(&token).await.unwrap();
    assert_eq!(verified.identity.sub, "ada");
    assert!(verified.identity.is_admin());
    assert_eq!(verified.identity.claims["team"], "blue");
    let now_ms = jsonwebtoken::get_current_timestamp() * 1000;
    assert!(verified.expires_at_ms > now_ms && verified.expires_at_ms <= now_ms + 3_600_000);
}

#[test]
fn exp_is_a_number_in_the_future() {
    assert_eq!(verify(&json!({"sub": "a", "exp": NOW + 60})).unwrap().expires_at_ms, (NOW + 60) * 1000);
    assert_eq!(verify(&json!({"sub": "a", "exp": NOW as f64 + 0.5})).unwrap().expires_at_ms, NOW * 1000 + 500);
    assert_eq!(verify(&json!({"sub": "a", "exp": 1e300})).unwrap().expires_at_ms, 9_007_199_254_740_991);
    assert_eq!(verify(&json!({"sub": "a"})), Err(AuthError::MissingClaim("exp")));
    assert_eq!(verify(&json!({"sub": "a", "exp": null})), Err(AuthError::MissingClaim("exp")));
    for exp in [json!("9999999999"), json!([]), json!(true)] {
        assert!(matches!(verify(&json!({"sub": "a", "exp": exp})), Err(AuthError::BadClaim { claim: "exp", .. })));
    }
    assert_eq!(verify(&json!({"sub": "a", "exp": NOW - 60})), Err(AuthError::Expired));
    assert_eq!(verify(&json!({"sub": "a", "exp": -1})), Err(AuthError::Expired));
    assert_eq!(AuthError::Expired.code(), ErrorCode::TokenExpired);
}

#[test]
fn clocks_may_differ_by_the_leeway_only() {
    assert!(verify(&json!({"sub": "a", "exp": NOW - LEEWAY_SECONDS + 1})).is_ok());
    assert_eq!(verify(&json!({"sub": "a", "exp": NOW - LEEWAY_SECONDS})), Err(AuthError::Expired));
    assert!(verify(&json!({"sub": "a", "exp": NOW + 60, "nbf": NOW + LEEWAY_SECONDS})).is_ok());
    assert_eq!(verify(&json!({"sub": "a", "exp": NOW + 60, "nbf": NOW + LEEWAY_SECONDS + 1})), Err(AuthError::NotYetValid));
    assert!(matches!(
        verify(&json!({"sub": "a", "exp": NOW + 60, "nbf": "soon"})),
        Err(AuthError::BadClaim { claim: "nbf", .. })
    ));
}

#[test]
fn sub_names_a_user() {
    let anon_key = json!({"iss": "supabase", "role": "anon", "exp": NOW + 60});
    let service_key = json!({"iss": "supabase", "role": "service_role", "exp": NOW + 60});
    assert_eq!(verify(&anon_key), Err(AuthError::NotAUser));
    assert_eq!(verify(&service_key), Err(AuthError::NotAUser));
    let with_a_sub = json!({"sub": "a", "iss": "supabase", "role": "anon", "exp": NOW + 60});
    assert_eq!(verify(&with_a_sub), Err(AuthError::NotAUser));
    assert_eq!(verify(&json!({"exp": NOW + 60})), Err(AuthError::MissingClaim("sub")));
    for sub in [json!(""), json!(true), json!("x".repeat(129)), json!("ü".repeat(64))] {
        assert!(matches!(verify(&json!({"sub": sub, "exp": NOW + 60})), Err(AuthError::BadClaim { claim: "sub", .. })), "{sub}");
    }
    assert_eq!(verify(&json!({"sub": 42, "exp": NOW + 60})), Err(AuthError::NumberAsSub));
    assert_eq!(verify(&json!({"sub": "auth0|a b", "exp": NOW + 60})).unwrap().identity.sub, "auth0|a b");
}

#[test]
fn a_role_comes_from_the_issuer_and_never_from_the_user() {
    let role = |claims: Value| {
        let mut all = json!({"sub": "a", "exp": NOW + 60, "aud": "authenticated"});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        verify(&all).unwrap().identity.role
    };
    assert_eq!(role(json!({"role": "admin"})).as_deref(), Some("admin"));
    assert_eq!(role(json!({"app_metadata": {"role": "admin"}})).as_deref(), Some("admin"));
    assert_eq!(role(json!({"role": "authenticated", "app_metadata": {"role": "admin"}})).as_deref(), Some("admin"));
    assert_eq!(role(json!({"role": "authenticated", "app_metadata": {"role": "editor"}})).as_deref(), Some("editor"));
    assert_eq!(role(json!({"role": "user", "app_metadata": {"role": "editor"}})).as_deref(), Some("user"));
    assert_eq!(role(json!({"role": "authenticated"})).as_deref(), Some("authenticated"));
    assert_eq!(role(json!({"user_metadata": {"role": "admin"}})), None);
    assert_eq!(role(json!({"role": "authenticated", "user_metadata": {"role": "admin"}})).as_deref(), Some("authenticated"));
    assert_eq!(role(json!({"role": ["admin"]})), None);
}

#[test]
fn the_algorithm_is_pinned() {
    let claims = json!({"sub": "a", "exp": NOW + 60});
    let auth = Authenticator::hs256(&secret());
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        assert_eq!(verify_with(&auth, &signed_as(algorithm, &claims)), Err(AuthError::Algorithm));
    }
    // {"alg":"none","typ":"JWT"} with the same claims, unsigned.
    let good = signed(&claims);
    let payload = good.split('.').nth(1).unwrap();
    for unsigned in
        [format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}."), format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}.AAAA")]
    {
        let refused = verify_with(&auth, &unsigned).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Unauthorized);
    }
}

#[test]
fn a_wrong_signature_or_no_jwt_is_refused() {
    let token = signed(&json!({"sub": "a", "exp": NOW + 60}));
    let other = Authenticator::hs256(&"another secret, also more than 32 bytes".into());
    assert_eq!(verify_with(&other, &token), Err(AuthError::Signature));
    let auth = Authenticator::hs256(&secret());
    let (head, signature) = token.rsplit_once('.').unwrap();
    let changed = format!("{head}.{}", signature.chars().rev().collect::<String>());
    assert!(verify_with(&auth, &changed).is_err());
    for text in ["", "a", "a.b", "a.b.c", "....", "ü.ü.ü", &format!("{head}."), &"x".repeat(MAX_TOKEN_BYTES + 1)] {
        assert_eq!(verify_with(&auth, text).unwrap_err().code(), ErrorCode::Unauthorized, "{text:.20}");
    }
    assert_eq!(verify_with(&auth, &signed(&json!(["not", "an", "object"]))), Err(AuthError::Malformed));
}

#[test]
fn without_a_secret_no_token_is_accepted() {
    let token = signed(&json!({"sub": "a", "exp": NOW + 60}));
    assert_eq!(verify_with(&Authenticator::from_config(&Config::default()).unwrap(), &token), Err(AuthError::NoSource));
}

#[test]
fn random_secrets_differ_and_are_long_enough() {
    let (one, two) = (mint::random_secret().unwrap(), mint::random_secret().unwrap());
    assert_eq!(one.reveal().len(), 64);
    assert_ne!(one, two);
}

#[test]
fn what_users_edit_themselves_is_not_kept() {
    let claims = json!({"sub": "a", "exp": NOW + 60, "team": "blue", "user_metadata": {"team": "red"}, "raw_user_meta_data": {}});
    let identity = verify(&claims).unwrap().identity;
    assert_eq!(Value::Object(identity.claims), json!({"team": "blue"}));
}

fn with_settings(settings: &[(&str, &str)]) -> Authenticator {
    let given = |name: &str| settings.iter().find(|(one, _)| *one == name).map(|(_, value)| (*value).to_owned());
    Authenticator::from_config(&Config::resolve(false, given).unwrap()).unwrap()
}

#[test]
fn audience_and_issuer_count_where_they_are_set() {
    let both = with_settings(&[("JWT_SECRET", secret().reveal()), ("JWT_AUDIENCE", "app"), ("JWT_ISSUER", "https://id.example")]);
    let check = |aud: Value, iss: Value| {
        verify_with(&both, &signed(&json!({"sub": "a", "exp": NOW + 60, "aud": aud, "iss": iss}))).map(|ok| ok.identity.sub)
    };
    let good = json!("https://id.example");
    assert_eq!(check(json!("app"), good.clone()), Ok("a".into()));
    assert_eq!(check(json!(["other", "app"]), good.clone()), Ok("a".into()));
    for aud in [json!("other"), json!(["other"]), json!([]), json!(7), json!("app2"), json!({"app": true})] {
        assert_eq!(check(aud, good.clone()), Err(AuthError::Audience));
    }
    assert_eq!(check(Value::Null, good), Err(AuthError::MissingClaim("aud")));
    for iss in [json!("https://id.example/"), json!("https://id.example.evil"), json!(["https://id.example"])] {
        assert_eq!(check(json!("app"), iss), Err(AuthError::Issuer));
    }
    assert_eq!(check(json!("app"), Value::Null), Err(AuthError::MissingClaim("iss")));
}

#[test]
fn one_of_several_sources_is_enough_and_the_most_telling_refusal_is_heard() {
    let legacy: Secret = "the legacy secret of the project, 32 bytes".into();
    let auth = with_settings(&[("JWT_SECRET", secret().reveal()), ("SUPABASE_JWT_SECRET", legacy.reveal())]);
    let by = |secret: &Secret, claims: Value| {
        let key = EncodingKey::from_secret(secret.reveal().as_bytes());
        verify_with(&auth, &jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap())
            .map(|ok| ok.identity.sub)
    };
    assert_eq!(by(&secret(), json!({"sub": "own", "exp": NOW + 60})), Ok("own".into()));
    assert_eq!(by(&legacy, json!({"sub": "theirs", "exp": NOW + 60, "aud": "authenticated"})), Ok("theirs".into()));
    assert_eq!(by(&legacy, json!({"sub": "a", "exp": NOW - 60, "aud": "authenticated"})), Err(AuthError::Expired));
    assert_eq!(by(&secret(), json!({"sub": "a", "exp": NOW - 60})), Err(AuthError::Expired));
    assert_eq!(by(&legacy, json!({"sub": "a", "exp": NOW + 60, "aud": "other"})), Err(AuthError::Audience));
    assert_eq!(
        by(&legacy, json!({"sub": "a", "exp": NOW + 60, "aud": "authenticated", "role": "anon"})),
        Err(AuthError::NotAUser)
    );
    assert_eq!(
        by(&"neither of the two, and 32 bytes long".into(), json!({"sub": "a", "exp": NOW + 60})),
        Err(AuthError::Signature)
    );
}

#[test]
fn an_extension_that_must_be_understood_is_not() {
    let header = Header { crit: Some(vec!["exp".into()]), ..Header::new(Algorithm::HS256) };
    let key = EncodingKey::from_secret(secret().reveal().as_bytes());
    let token = jsonwebtoken::encode(&header, &json!({"sub": "a", "exp": NOW + 60}), &key).unwrap();
    assert_eq!(verify_with(&Authenticator::hs256(&secret()), &token), Err(AuthError::Algorithm));
}

#[test]
fn a_supabase_key_needs_its_project() {
    let config = Config::resolve(false, |name| (name == "SUPABASE_ANON_KEY").then(|| "key".to_owned())).unwrap();
    let refused = Authenticator::from_config(&config).err().unwrap();
    assert!(matches!(refused, SetupError::NoUrl) && refused.to_string().contains("SUPABASE_URL"));
}

//! Tokens against a real verify: what is accepted, and each way of being refused.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::*;

const NOW: u64 = 1_800_000_000;

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
    Authenticator::hs256(&secret()).verify_at(&signed(claims), NOW)
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
    assert_eq!(verify(&anon_key), Err(AuthError::MissingClaim("sub")));
    assert_eq!(verify(&service_key), Err(AuthError::MissingClaim("sub")));
    for sub in [json!(""), json!(7), json!("x".repeat(129)), json!("ü".repeat(64))] {
        assert!(matches!(verify(&json!({"sub": sub, "exp": NOW + 60})), Err(AuthError::BadClaim { claim: "sub", .. })), "{sub}");
    }
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
    assert_eq!(role(json!({"role": "authenticated", "app_metadata": {"role": "editor"}})).as_deref(), Some("authenticated"));
    assert_eq!(role(json!({"user_metadata": {"role": "admin"}})), None);
    assert_eq!(role(json!({"role": "authenticated", "user_metadata": {"role": "admin"}})).as_deref(), Some("authenticated"));
    assert_eq!(role(json!({"role": ["admin"]})), None);
}

#[test]
fn the_algorithm_is_pinned() {
    let claims = json!({"sub": "a", "exp": NOW + 60});
    let auth = Authenticator::hs256(&secret());
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        assert_eq!(auth.verify_at(&signed_as(algorithm, &claims), NOW), Err(AuthError::Algorithm));
    }
    // {"alg":"none","typ":"JWT"} with the same claims, unsigned.
    let good = signed(&claims);
    let payload = good.split('.').nth(1).unwrap();
    for unsigned in
        [format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}."), format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}.AAAA")]
    {
        let refused = auth.verify_at(&unsigned, NOW).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Unauthorized);
    }
}

#[test]
fn a_wrong_signature_or_no_jwt_is_refused() {
    let token = signed(&json!({"sub": "a", "exp": NOW + 60}));
    let other = Authenticator::hs256(&"another secret, also more than 32 bytes".into());
    assert_eq!(other.verify_at(&token, NOW), Err(AuthError::Signature));
    let auth = Authenticator::hs256(&secret());
    let (head, signature) = token.rsplit_once('.').unwrap();
    let changed = format!("{head}.{}", signature.chars().rev().collect::<String>());
    assert!(auth.verify_at(&changed, NOW).is_err());
    for text in ["", "a", "a.b", "a.b.c", "....", "ü.ü.ü", &format!("{head}."), &"x".repeat(MAX_TOKEN_BYTES + 1)] {
        assert_eq!(auth.verify_at(text, NOW).unwrap_err().code(), ErrorCode::Unauthorized, "{text:.20}");
    }
    assert_eq!(auth.verify_at(&signed(&json!(["not", "an", "object"])), NOW), Err(AuthError::Malformed));
}

#[test]
fn without_a_secret_no_token_is_accepted() {
    let token = signed(&json!({"sub": "a", "exp": NOW + 60}));
    assert_eq!(Authenticator::from_config(&Config::default()).verify_at(&token, NOW), Err(AuthError::NoSource));
}

#[test]
fn random_secrets_differ_and_are_long_enough() {
    let (one, two) = (mint::random_secret().unwrap(), mint::random_secret().unwrap());
    assert_eq!(one.reveal().len(), 64);
    assert_ne!(one, two);
}

//! Keys of an issuer of tokens, made by the test, and tokens signed with them by hand: libraries refuse to sign wrong ones.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};

/// A private key with its `kid`.
pub(crate) struct IssuerKey {
    pub(crate) kid: String,
    private: Private,
}

enum Private {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(Box<RsaKeyPair>),
}

impl IssuerKey {
    pub(crate) fn es256(kid: &str) -> Self {
        Self { kid: kid.into(), private: Private::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()) }
    }

    pub(crate) fn eddsa(kid: &str) -> Self {
        Self { kid: kid.into(), private: Private::EdDsa(Ed25519KeyPair::generate().unwrap()) }
    }

    pub(crate) fn rs256(kid: &str) -> Self {
        Self { kid: kid.into(), private: Private::Rs256(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())) }
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self.private {
            Private::Es256(_) => "ES256",
            Private::EdDsa(_) => "EdDSA",
            Private::Rs256(_) => "RS256",
        }
    }

    /// The public half as it stands in a key set.
    pub(crate) fn jwk(&self) -> Value {
        let (kid, alg) = (&self.kid, self.algorithm());
        match &self.private {
            Private::Es256(pair) => {
                // 0x04, x, y.
                let point = pair.public_key().as_ref();
                let (x, y) = (base64url(&point[1..33]), base64url(&point[33..65]));
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "alg": alg, "use": "sig", "key_ops": ["verify"], "x": x, "y": y})
            }
            Private::EdDsa(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "alg": alg, "x": base64url(pair.public_key().as_ref())})
            }
            Private::Rs256(pair) => {
                // DER of RSAPublicKey with 2048 bits: nine bytes of headers, the modulus, and 65537.
                let n = &pair.public_key().as_ref()[9..265];
                json!({"kty": "RSA", "kid": kid, "alg": alg, "use": "sig", "n": base64url(n), "e": "AQAB"})
            }
        }
    }

    /// The public key as an attacker of RS→HS confusion would use it for a secret: what is published, in each usual form.
    pub(crate) fn public_forms(&self) -> Vec<Vec<u8>> {
        let Private::Rs256(pair) = &self.private else { panic!("an RSA key") };
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let jwk = self.jwk();
        let texts = [jwk.to_string(), jwk["n"].as_str().unwrap().to_owned()];
        let forms = [der.as_ref().to_vec(), pair.public_key().as_ref().to_vec()];
        forms.into_iter().chain(texts.into_iter().map(String::into_bytes)).collect()
    }

    /// A token with this key's own header.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_as(&json!({"alg": self.algorithm(), "kid": self.kid, "typ": "JWT"}), claims)
    }

    /// A token with any header.
    pub(crate) fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        let bytes = message.as_bytes();
        let signature = match &self.private {
            Private::Es256(pair) => pair.sign(&SystemRandom::new(), bytes).unwrap().as_ref().to_vec(),
            Private::EdDsa(pair) => pair.sign(bytes).as_ref().to_vec(),
            Private::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), bytes, &mut signature).unwrap();
                signature
            }
        };
        format!("{message}.{}", base64url(&signature))
    }
}

/// A token signed with a secret, with any header.
pub(crate) fn hs256(secret: &[u8], header: &Value, claims: &Value) -> String {
    let message = message(header, claims);
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", base64url(signature.as_ref()))
}

/// Header and claims of a token, without a signature.
pub(crate) fn message(header: &Value, claims: &Value) -> String {
    format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()))
}

fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(bits >> (18 - 6 * place)) as usize & 63]));
        }
    }
    text
}

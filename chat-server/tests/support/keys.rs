//! Keys that tokens are signed with, made on the spot, and tokens of whatever they are told to say.

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize,
};
use serde::Serialize;
use serde_json::{Value, json};

/// A key pair, and the name by which tokens call it.
pub struct Key {
    pub id: &'static str,
    pub algorithm: Algorithm,
    pub signing: EncodingKey,
    pair: KeyPair,
}

impl Key {
    /// A new one for EdDSA, ES256 or RS256.
    pub fn new(id: &'static str, algorithm: Algorithm) -> Self {
        let pair = match algorithm {
            Algorithm::EdDSA => ed25519(),
            Algorithm::ES256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key"),
            Algorithm::RS256 => {
                KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key")
            }
            other => panic!("no keys for {other:?} are made here"),
        };
        let pem = pair.serialize_pem();
        let signing = match algorithm {
            Algorithm::EdDSA => EncodingKey::from_ed_pem(pem.as_bytes()),
            Algorithm::ES256 => EncodingKey::from_ec_pem(pem.as_bytes()),
            _ => EncodingKey::from_rsa_pem(pem.as_bytes()),
        };
        Self { id, algorithm, signing: signing.expect("a key"), pair }
    }

    /// The private key, as a file has it.
    pub fn pem(&self) -> String {
        self.pair.serialize_pem()
    }

    /// The public key, as its owner publishes it.
    pub fn public(&self) -> Value {
        let mut public = Jwk::from_encoding_key(&self.signing, self.algorithm).expect("a key");
        public.common.key_id = Some(self.id.to_owned());
        serde_json::to_value(&public).expect("plain JSON")
    }

    /// What everybody may know of it, in all the ways in which it is written down.
    pub fn public_bytes(&self) -> Vec<Vec<u8>> {
        let public = self.public();
        let number = ["x", "n"].into_iter().find_map(|field| public[field].as_str());
        vec![
            self.pair.public_key_pem().into_bytes(),
            self.pair.subject_public_key_info(),
            self.pair.der_bytes().to_vec(),
            public.to_string().into_bytes(),
            number.expect("a number").as_bytes().to_vec(),
        ]
    }

    /// The header that its tokens have.
    pub fn header(&self) -> Value {
        json!({ "typ": "JWT", "alg": self.algorithm, "kid": self.id })
    }

    /// A token of it that says this.
    pub fn token(&self, claims: &impl Serialize) -> String {
        sealed(&self.header(), claims, self.algorithm, &self.signing)
    }
}

/// A token with this header and these claims, whether or not they make sense.
pub fn sealed(
    header: &impl Serialize,
    claims: &impl Serialize,
    algorithm: Algorithm,
    key: &EncodingKey,
) -> String {
    let text = format!("{}.{}", part(header), part(claims));
    let signature = jsonwebtoken::crypto::sign(text.as_bytes(), key, algorithm);
    format!("{text}.{}", signature.expect("a signature"))
}

/// JSON as a part of a token.
pub fn part(json: &impl Serialize) -> String {
    let any = EncodingKey::from_secret(&[0; 32]);
    let token = jsonwebtoken::encode(&Header::default(), json, &any).expect("a token");
    token.split('.').nth(1).expect("a payload").to_owned()
}

/// A key as `openssl genpkey -algorithm ed25519` makes it: without the public one beside it.
fn ed25519() -> KeyPair {
    const HEAD: &[u8] = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("random numbers");
    let der = [HEAD, &seed].concat().try_into().expect("a key");
    KeyPair::from_der_and_sign_algo(&der, &PKCS_ED25519).expect("a key")
}

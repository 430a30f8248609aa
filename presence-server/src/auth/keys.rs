//! The keys that tokens are signed with: one secret, or public keys out of files, each with the one algorithm that it
//! is for.

use std::collections::BTreeMap;
use std::path::Path;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey, Validation};

use super::crypto;
use crate::config::{Config, ConfigError, Secret};

/// Shortest secret of an HS256 signature, in bytes: as long as the hash (RFC 7518 section 3.2).
const SECRET_BYTES_MIN: usize = 32;

/// Shortest modulus of an RSA key, in bytes (RFC 7518 section 3.3).
const MODULUS_BYTES_MIN: usize = 256;

/// One key, and what a token that it signs must be like.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) decoding: DecodingKey,
    pub(super) validation: Validation,
    /// For the keys that can sign as well as verify.
    encoding: Option<EncodingKey>,
}

/// Keys by their name, which tokens call `kid`.
#[derive(Debug)]
pub(super) struct Keys {
    named: BTreeMap<String, Key>,
    /// The secret: what a token is signed with that names no key.
    secret: Option<Key>,
}

/// A setting is wrong.
fn wrong(name: &str, error: impl Into<String>) -> ConfigError {
    ConfigError::Value { name: name.to_owned(), error: error.into() }
}

/// A secret that is given as it is, or in a file.
pub(crate) fn secret_of(name: &str, direct: &Secret, file: &str) -> Result<Option<Secret>, ConfigError> {
    let secret = match (direct.is_empty(), file.is_empty()) {
        (true, true) => return Ok(None),
        (false, true) => direct.clone(),
        (false, false) => return Err(wrong(name, format!("is set, and so is `{name}_file`: one is enough"))),
        (true, false) => {
            let name = format!("{name}_file");
            let text = read(&name, file)?;
            // Editors and `echo` end a file with a line break, which nobody means.
            let text = text.trim_end_matches(['\r', '\n']);
            if text.is_empty() {
                return Err(wrong(&name, format!("{file} is empty")));
            }
            Secret::new(text)
        }
    };
    Ok(Some(secret))
}

fn read(name: &str, file: &str) -> Result<String, ConfigError> {
    std::fs::read_to_string(file).map_err(|error| wrong(name, format!("cannot read {file}: {error}")))
}

impl Keys {
    /// The keys of a configuration; `None` if it has none.
    pub(super) fn load(config: &Config) -> Result<Option<Self>, ConfigError> {
        crypto::install();
        let secret = secret_of("token_secret", &config.token_secret, &config.token_secret_file)?;
        let secret = secret
            .map(|secret| {
                Key::of_secret(secret.reveal().as_bytes(), config).map_err(|rule| wrong("token_secret", rule))
            })
            .transpose()?;
        let mut keys = Self { named: BTreeMap::new(), secret };
        for file in &config.token_key_files {
            let text = read("token_key_files", file)?;
            let added = if text.trim_start().starts_with('{') {
                keys.add_set(&text, config)
            } else {
                keys.add_pem(file, &text, config)
            };
            added.map_err(|rule| wrong("token_key_files", format!("{file}: {rule}")))?;
        }
        let none = keys.secret.is_none() && keys.named.is_empty();
        Ok(if none { None } else { Some(keys) })
    }

    /// A JWK Set (RFC 7517 section 5), as identity providers publish it.
    fn add_set(&mut self, text: &str, config: &Config) -> Result<(), String> {
        let set: JwkSet = serde_json::from_str(text).map_err(|error| format!("no JWK Set: {error}"))?;
        let before = self.named.len();
        for (at, jwk) in set.keys.iter().enumerate() {
            // Such sets also have keys that are for something else.
            let Some(algorithm) = algorithm_of(jwk) else { continue };
            let kid = jwk.common.key_id.clone().ok_or_else(|| format!("key {at} has no `kid`"))?;
            let decoding = DecodingKey::from_jwk(jwk).map_err(|error| format!("key {kid:?}: {error}"))?;
            let encoding = match decoding.kind() {
                DecodingKeyKind::SecretOrDer(secret) if algorithm == Algorithm::HS256 => {
                    Some(EncodingKey::from_secret(secret))
                }
                _ => None,
            };
            let key = Key::new(algorithm, decoding, encoding, config);
            self.add(kid.clone(), key.map_err(|rule| format!("key {kid:?} {rule}"))?)?;
        }
        if self.named.len() == before {
            return Err("has no key for signatures with HS256, RS256, ES256 or EdDSA".to_owned());
        }
        Ok(())
    }

    /// One public key; its `kid` is the file's name without the ending.
    fn add_pem(&mut self, file: &str, text: &str, config: &Config) -> Result<(), String> {
        if text.contains("PRIVATE KEY") {
            return Err("is a private key; the server wants the public one".to_owned());
        }
        if !text.contains("PUBLIC KEY") {
            return Err("is neither a JWK Set nor a PEM file with a PUBLIC KEY".to_owned());
        }
        let pem = text.as_bytes();
        let decoding = DecodingKey::from_rsa_pem(pem)
            .or_else(|_| DecodingKey::from_ec_pem(pem))
            .or_else(|_| DecodingKey::from_ed_pem(pem))
            .map_err(|_| "is no RSA, P-256 or Ed25519 key")?;
        let algorithm = match decoding.family() {
            jsonwebtoken::AlgorithmFamily::Rsa => Algorithm::RS256,
            jsonwebtoken::AlgorithmFamily::Ec => Algorithm::ES256,
            _ => Algorithm::EdDSA,
        };
        let kid = Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        self.add(kid.unwrap_or_default(), Key::new(algorithm, decoding, None, config)?)
    }

    fn add(&mut self, kid: String, key: Key) -> Result<(), String> {
        match self.named.insert(kid.clone(), key) {
            None => Ok(()),
            Some(_) => Err(format!("there is already a key {kid:?}")),
        }
    }

    /// The key that a token names; without a name the secret, or the only key there is.
    pub(super) fn get(&self, kid: Option<&str>) -> Option<&Key> {
        match (kid, &self.secret) {
            (Some(kid), _) => self.named.get(kid),
            (None, Some(secret)) => Some(secret),
            (None, None) if self.named.len() == 1 => self.named.values().next(),
            (None, None) => None,
        }
    }

    /// A key that can sign, with its name: the secret before others.
    pub(super) fn signing(&self) -> Option<(Option<&str>, Algorithm, &EncodingKey)> {
        let secret = self.secret.iter().map(|key| (None, key));
        let mut keys = secret.chain(self.named.iter().map(|(kid, key)| (Some(kid.as_str()), key)));
        keys.find_map(|(kid, key)| Some((kid, Algorithm::HS256, key.encoding.as_ref()?)))
    }
}

impl Key {
    fn of_secret(secret: &[u8], config: &Config) -> Result<Self, String> {
        let (decoding, encoding) = (DecodingKey::from_secret(secret), EncodingKey::from_secret(secret));
        Self::new(Algorithm::HS256, decoding, Some(encoding), config)
    }

    fn new(
        algorithm: Algorithm,
        decoding: DecodingKey,
        encoding: Option<EncodingKey>,
        config: &Config,
    ) -> Result<Self, String> {
        check_strength(algorithm, decoding.kind())?;
        let mut validation = Validation::new(algorithm);
        // Moments are compared with the server's own clock, in `token`.
        (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
        let mut required = vec!["exp", "sub"];
        if !config.token_audience.is_empty() {
            validation.validate_aud = true;
            validation.set_audience(&[&config.token_audience]);
            required.push("aud");
        }
        if !config.token_issuer.is_empty() {
            validation.set_issuer(&[&config.token_issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        Ok(Self { decoding, validation, encoding })
    }
}

fn check_strength(algorithm: Algorithm, key: &DecodingKeyKind) -> Result<(), String> {
    let bytes = match key {
        DecodingKeyKind::SecretOrDer(bytes) | DecodingKeyKind::RsaModulusExponent { n: bytes, .. } => bytes,
    };
    let rule = match algorithm {
        Algorithm::HS256 if bytes.len() < SECRET_BYTES_MIN => {
            format!(
                "must be at least {SECRET_BYTES_MIN} bytes, and is {}: make one with `openssl rand -base64 32`",
                bytes.len()
            )
        }
        Algorithm::RS256 if bytes.len() < MODULUS_BYTES_MIN => "must have at least 2048 bits".to_owned(),
        Algorithm::ES256 if bytes.len() != 65 || bytes[0] != 4 => "must be a point of P-256".to_owned(),
        Algorithm::EdDSA if bytes.len() != 32 => "must be an Ed25519 key".to_owned(),
        _ => return Ok(()),
    };
    Err(rule)
}

/// What a key of a set is for, if it is for one of our signatures.
fn algorithm_of(jwk: &Jwk) -> Option<Algorithm> {
    if matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption)) {
        return None;
    }
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::OctetKey(_) => Algorithm::HS256,
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        _ => return None,
    };
    let named = jwk.common.key_algorithm;
    named.is_none_or(|named| named == KeyAlgorithm::from(algorithm)).then_some(algorithm)
}

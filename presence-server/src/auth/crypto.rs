//! The four signatures that tokens may have, over ring: what jsonwebtoken asks of a cryptography.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::rand::SystemRandom;
use ring::signature::{self as ring_signature, UnparsedPublicKey};
use ring::{hmac, signature::RsaPublicKeyComponents};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes jsonwebtoken use it, in the whole process. Only the first call counts.
pub(super) fn install() {
    // Another server in this process has done so already.
    let _ = PROVIDER.install_default();
}

/// A key that verifies one kind of signature.
struct Check {
    algorithm: Algorithm,
    key: DecodingKey,
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    if key.family() != family(*algorithm)? {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Ok(Box::new(Check { algorithm: *algorithm, key: key.clone() }))
}

fn family(algorithm: Algorithm) -> Result<AlgorithmFamily, Error> {
    match algorithm {
        Algorithm::HS256 => Ok(AlgorithmFamily::Hmac),
        Algorithm::RS256 => Ok(AlgorithmFamily::Rsa),
        Algorithm::ES256 => Ok(AlgorithmFamily::Ec),
        Algorithm::EdDSA => Ok(AlgorithmFamily::Ed),
        _ => Err(ErrorKind::UnsupportedAlgorithm.into()),
    }
}

impl Verifier<Vec<u8>> for Check {
    fn verify(&self, message: &[u8], given: &Vec<u8>) -> Result<(), signature::Error> {
        let public = |algorithm: &'static dyn ring_signature::VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(algorithm, key).verify(message, given)
        };
        let verified = match (self.algorithm, self.key.kind()) {
            (Algorithm::HS256, DecodingKeyKind::SecretOrDer(secret)) => {
                hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret), message, given)
            }
            (Algorithm::RS256, DecodingKeyKind::SecretOrDer(der)) => {
                public(&ring_signature::RSA_PKCS1_2048_8192_SHA256, der)
            }
            (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                let key = RsaPublicKeyComponents { n, e };
                key.verify(&ring_signature::RSA_PKCS1_2048_8192_SHA256, message, given)
            }
            (Algorithm::ES256, DecodingKeyKind::SecretOrDer(point)) => {
                public(&ring_signature::ECDSA_P256_SHA256_FIXED, point)
            }
            (Algorithm::EdDSA, DecodingKeyKind::SecretOrDer(point)) => {
                public(&ring_signature::ED25519, point)
            }
            _ => Err(ring::error::Unspecified),
        };
        verified.map_err(why_not)
    }
}

impl JwtVerifier for Check {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

/// ring tells nobody why it refuses, and neither do we.
fn why_not(_: ring::error::Unspecified) -> signature::Error {
    signature::Error::new()
}

/// A key that makes one kind of signature.
enum Sign {
    Hmac(hmac::Key),
    Rsa(ring_signature::RsaKeyPair),
    Ec(ring_signature::EcdsaKeyPair),
    Ed(ring_signature::Ed25519KeyPair),
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    if key.family() != family(*algorithm)? {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let bytes = key.as_bytes();
    let sign = match algorithm {
        Algorithm::HS256 => Sign::Hmac(hmac::Key::new(hmac::HMAC_SHA256, bytes)),
        Algorithm::RS256 => Sign::Rsa(
            ring_signature::RsaKeyPair::from_der(bytes)
                .map_err(|error| ErrorKind::InvalidRsaKey(error.to_string()))?,
        ),
        Algorithm::ES256 => Sign::Ec(
            ring_signature::EcdsaKeyPair::from_pkcs8(
                &ring_signature::ECDSA_P256_SHA256_FIXED_SIGNING,
                bytes,
                &SystemRandom::new(),
            )
            .map_err(|_| ErrorKind::InvalidEcdsaKey)?,
        ),
        // OpenSSL writes these keys without their public half.
        _ => Sign::Ed(
            ring_signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes)
                .map_err(|_| ErrorKind::InvalidEddsaKey)?,
        ),
    };
    Ok(Box::new(sign))
}

impl Signer<Vec<u8>> for Sign {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        let random = SystemRandom::new();
        match self {
            Self::Hmac(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Self::Rsa(key) => {
                let mut made = vec![0; key.public().modulus_len()];
                key.sign(&ring_signature::RSA_PKCS1_SHA256, &random, message, &mut made).map_err(why_not)?;
                Ok(made)
            }
            Self::Ec(key) => {
                let made = key.sign(&random, message).map_err(why_not)?;
                Ok(made.as_ref().to_vec())
            }
            Self::Ed(key) => Ok(key.sign(message).as_ref().to_vec()),
        }
    }
}

impl JwtSigner for Sign {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Hmac(_) => Algorithm::HS256,
            Self::Rsa(_) => Algorithm::RS256,
            Self::Ec(_) => Algorithm::ES256,
            Self::Ed(_) => Algorithm::EdDSA,
        }
    }
}

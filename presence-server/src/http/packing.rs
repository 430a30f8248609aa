//! Bodies packed with gzip (RFC 1952), for whoever accepts that (RFC 9110 section 12.5.3).

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{ACCEPT_ENCODING, HeaderMap};
use presence_core::shard::Packed;

/// Bytes below which it is not worth it: they fit one packet as they are.
const WORTH_IT: usize = 1_024;

/// Whether whoever asks can unpack it.
pub(super) fn is_accepted(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let (mut gzip, mut any) = (None, None);
    for offer in values.flat_map(|value| value.split(',')) {
        let (coding, weight) = offer.split_once(';').unwrap_or((offer, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
        let is_good = weight.is_ok_and(|weight| weight > 0.0);
        match coding.trim() {
            "*" => any = Some(is_good),
            coding if coding.eq_ignore_ascii_case("gzip") => gzip = Some(is_good),
            _ => {}
        }
    }
    gzip.or(any).unwrap_or(false)
}

/// The packed body, if there is one. The first who wants it packs it for all. Meanwhile others do without: the body as it
/// is takes them no longer than they would wait.
pub(super) async fn pack(body: &Bytes, packed: &Packed) -> Option<Bytes> {
    if body.len() < WORTH_IT {
        return None;
    }
    if let Some(ready) = packed.get() {
        return Some(ready);
    }
    if !packed.begin() {
        return None;
    }
    let (body, place) = (body.clone(), packed.clone());
    // A large room takes milliseconds, for which connections would wait. It goes on when the asker has gone.
    let packing = tokio::task::spawn_blocking(move || place.set(gzip(&body)));
    packing.await.ok()?;
    packed.get()
}

fn gzip(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
    let packed = encoder.write_all(body).and_then(|()| encoder.finish());
    packed.expect("memory takes everything").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_accepted_where_it_or_anything_is() {
        let accepts = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, value.parse().unwrap());
            is_accepted(&headers)
        };
        for good in ["gzip", "br, GZIP;q=0.5", "deflate, *", "gzip ; q=1.0, identity;q=0", "*;q=0, gzip"] {
            assert!(accepts(good), "{good}");
        }
        for bad in ["", "br, deflate", "gzip;q=0", "gzip; q=0.0, *", "*;q=0", "identity", "gzip;q=much"] {
            assert!(!accepts(bad), "{bad}");
        }
        assert!(!is_accepted(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn a_body_is_packed_once_and_a_small_one_never() {
        let (body, packed) = (Bytes::from(vec![b'x'; WORTH_IT]), Packed::default());
        let first = pack(&body, &packed).await.unwrap();
        let second = pack(&body, &packed).await.unwrap();
        assert!(first.len() < WORTH_IT / 10 && first.as_ptr() == second.as_ptr());
        let busy = Packed::default();
        assert!(busy.begin());
        assert_eq!(pack(&body, &busy).await, None);
        assert_eq!(pack(&body.slice(1..), &Packed::default()).await, None);
    }
}

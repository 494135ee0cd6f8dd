//! The Retry-After header (RFC 9110 section 10.2.3): seconds or a date.

use std::time::Duration;

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// The longest wait that is told; anything above reads as this.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 3_600);

/// How long an answer asks to wait. A date is measured from the answer's own `Date`, so that a wrong clock on
/// this machine does not matter, or else from `now`. What is garbage, negative or past is no request to wait.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let wait = text.parse().map_or(LONGEST, Duration::from_secs).min(LONGEST);
        return (wait > Duration::ZERO).then_some(wait);
    }
    let until = http_date(text)?;
    let from = headers.get(DATE).and_then(|date| http_date(date.to_str().ok()?)).unwrap_or(now);
    let wait: SignedDuration = until.duration_since(from);
    Duration::try_from(wait).ok().filter(|wait| *wait > Duration::ZERO).map(|wait| wait.min(LONGEST))
}

/// Reads an HTTP date in any of the three forms that RFC 9110 section 5.6.7 asks recipients to take.
#[must_use]
pub fn http_date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(timestamp) = DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text) {
        return Some(timestamp);
    }
    ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"].into_iter().find_map(|form| {
        let civil = strtime::parse(form, text).ok()?.to_datetime().ok()?;
        Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn now() -> Timestamp {
        "1994-11-06T08:49:07Z".parse().unwrap()
    }

    fn wait(value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
        retry_after(&headers, now())
    }

    #[test]
    fn seconds_and_all_three_forms_of_dates_are_understood() {
        let thirty = Some(Duration::from_secs(30));
        assert_eq!(wait("30"), thirty);
        assert_eq!(wait(" 30 "), thirty);
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), thirty);
        assert_eq!(wait("Sunday, 06-Nov-94 08:49:37 GMT"), thirty);
        assert_eq!(wait("Sun Nov  6 08:49:37 1994"), thirty);
        assert_eq!(wait("Mon, 06 Nov 1994 08:49:37 GMT"), thirty, "a wrong weekday does not matter");
    }

    #[test]
    fn what_asks_for_no_wait_is_ignored() {
        for value in ["", "0", "-5", "soon", "1.5", "NaN", "1e9", "Sun, 06 Nov 1994 08:49:07 GMT", "+3"] {
            assert_eq!(wait(value), None, "{value:?}");
        }
        assert_eq!(wait("Sat, 05 Nov 1994 08:49:37 GMT"), None);
    }

    #[test]
    fn an_absurd_wait_is_told_without_overflow() {
        assert_eq!(wait("1000000000"), Some(Duration::from_secs(1_000_000_000)));
        assert_eq!(wait("99999999999999999999999999"), Some(LONGEST));
    }

    #[test]
    fn a_date_is_measured_from_the_answers_own_clock() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("Sun, 06 Nov 1994 10:00:10 GMT"));
        headers.insert(DATE, HeaderValue::from_static("Sun, 06 Nov 1994 10:00:00 GMT"));
        assert_eq!(retry_after(&headers, now()), Some(Duration::from_secs(10)));
    }

    proptest::proptest! {
        #[test]
        fn no_value_panics(value in "[ -~]{0,60}") {
            wait(&value);
        }

        #[test]
        fn no_date_panics(
            day in 0..40u32, month in "[A-Z][a-z]{2}", year in 0..12_000u32, hour in 0..30u32, second in 0..70u32
        ) {
            wait(&format!("Sun, {day:02} {month} {year} {hour:02}:00:{second:02} GMT"));
        }
    }
}

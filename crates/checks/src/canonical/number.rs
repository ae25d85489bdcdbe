//! One text per number, exactly: sign, digits without zeros at either end, power of ten.

use super::write::Sink;

/// Integers and fractions are written out up to this many digits, beyond it with an exponent.
const PLAIN_DIGITS: i64 = 21;

/// `raw` is a number that the scanner has accepted.
pub(super) fn write_number(raw: &[u8], out: &mut impl Sink) {
    if is_plain_integer(raw) {
        out.put(raw);
        return;
    }
    let number = Number::read(raw);
    if number.digits() == 0 {
        out.put(b"0");
        return;
    }
    if number.negative {
        out.put(b"-");
    }
    number.write(out);
}

/// Most numbers: an integer whose text is already the canonical one.
fn is_plain_integer(raw: &[u8]) -> bool {
    let digits = raw.strip_prefix(b"-").unwrap_or(raw);
    digits.len() <= PLAIN_DIGITS as usize
        && digits.iter().all(u8::is_ascii_digit)
        && (digits != b"0" || raw.len() == digits.len())
}

/// `whole` followed by `fraction` without leading and trailing zeros, times ten to the `exponent`.
struct Number<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

impl<'a> Number<'a> {
    fn read(raw: &'a [u8]) -> Self {
        let (negative, raw) = match raw.strip_prefix(b"-") {
            Some(rest) => (true, rest),
            None => (false, raw),
        };
        let mantissa_end = raw.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(raw.len());
        let written = match raw.get(mantissa_end + 1..) {
            Some(text) => read_exponent(text),
            None => 0,
        };
        let mantissa = &raw[..mantissa_end];
        let (whole, fraction) = match mantissa.iter().position(|byte| *byte == b'.') {
            Some(point) => (&mantissa[..point], &mantissa[point + 1..]),
            None => (mantissa, &mantissa[mantissa.len()..]),
        };
        let exponent = written - fraction.len() as i64;
        let mut number = Self { negative, whole, fraction, exponent };
        number.trim();
        number
    }

    fn trim(&mut self) {
        while let [rest @ .., b'0'] = self.fraction {
            self.fraction = rest;
            self.exponent += 1;
        }
        if self.fraction.is_empty() {
            while let [rest @ .., b'0'] = self.whole {
                self.whole = rest;
                self.exponent += 1;
            }
        }
        while let [b'0', rest @ ..] = self.whole {
            self.whole = rest;
        }
        if self.whole.is_empty() {
            while let [b'0', rest @ ..] = self.fraction {
                self.fraction = rest;
            }
        }
    }

    fn digits(&self) -> i64 {
        (self.whole.len() + self.fraction.len()) as i64
    }

    fn write(&self, out: &mut impl Sink) {
        let digits = self.digits();
        let point = digits + self.exponent;
        if self.exponent == 0 || (self.exponent > 0 && point <= PLAIN_DIGITS) {
            self.put(0, digits, out);
            zeros(self.exponent, out);
        } else if self.exponent < 0 && (0..=PLAIN_DIGITS).contains(&point) {
            if point == 0 {
                out.put(b"0");
            }
            self.put(0, point, out);
            out.put(b".");
            self.put(point, digits, out);
        } else if self.exponent < 0 && point < 0 && digits - point <= PLAIN_DIGITS {
            out.put(b"0.");
            zeros(-point, out);
            self.put(0, digits, out);
        } else {
            self.put(0, digits, out);
            out.put(b"e");
            put_integer(self.exponent, out);
        }
    }

    /// The digits from `from` to `to`, over both halves.
    fn put(&self, from: i64, to: i64, out: &mut impl Sink) {
        let (from, to, split) = (from as usize, to as usize, self.whole.len());
        out.put(&self.whole[from.min(split)..to.min(split)]);
        out.put(&self.fraction[from.max(split) - split..to.max(split) - split]);
    }
}

fn zeros(count: i64, out: &mut impl Sink) {
    for _ in 0..count {
        out.put(b"0");
    }
}

fn read_exponent(text: &[u8]) -> i64 {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    // The scanner has bounded it to `EXPONENT_MAX`.
    let size = digits.iter().fold(0_i64, |sum, digit| sum.saturating_mul(10).saturating_add(i64::from(digit & 0xF)));
    if negative { -size } else { size }
}

fn put_integer(value: i64, out: &mut impl Sink) {
    out.put(alloc::format!("{value}").as_bytes());
}

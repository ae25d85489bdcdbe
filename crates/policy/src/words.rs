//! Nearest known word, for hints.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// `did you mean …?`, when a known word is near enough to be meant.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|one| (distance(word, one), one))
        .filter(|(distance, one)| *distance <= allowed || same_but_for_case(word, one))
        .min()
        .map(|(_, one)| format!("did you mean `{one}`?"))
}

fn same_but_for_case(left: &str, right: &str) -> bool {
    let plain =
        |text: &str| text.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect::<String>();
    plain(left) == plain(right)
}

/// Edits (a swap of neighbours is one) between two short words; long ones are not worth it.
fn distance(left: &str, right: &str) -> usize {
    let left = left.chars().take(64).collect::<Vec<_>>();
    let right = right.chars().take(64).collect::<Vec<_>>();
    let mut rows = Vec::from([(0..=right.len()).collect::<Vec<_>>()]);
    for i in 1..=left.len() {
        let mut row = Vec::from([i]);
        for j in 1..=right.len() {
            let same = left[i - 1] == right[j - 1];
            let mut best = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + usize::from(!same));
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_a_different_word_is_not() {
        let known = ["readback", "repeat", "redispatch_on_absent"];
        assert_eq!(did_you_mean("readbak", known).as_deref(), Some("did you mean `readback`?"));
        assert_eq!(did_you_mean("raedback", known).as_deref(), Some("did you mean `readback`?"));
        assert_eq!(did_you_mean("redispatchOnAbsent", known).as_deref(), Some("did you mean `redispatch_on_absent`?"));
        assert_eq!(did_you_mean("upstream", known), None);
    }
}

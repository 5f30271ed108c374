//! What two texts do not have in common, line by line.

/// Lines compared with lines; above this, what differs is shown as removed and added as a whole.
const MOST_PAIRS: usize = 16_000_000;

/// One line of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    Both(&'a str),
    Removed(&'a str),
    Added(&'a str),
}

/// All lines of both texts, with as many as possible in common.
pub(crate) fn lines<'a>(from: &'a str, to: &'a str) -> Vec<Line<'a>> {
    let (from, to): (Vec<&str>, Vec<&str>) = (from.lines().collect(), to.lines().collect());
    let head = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let rest = (&from[head..], &to[head..]);
    let tail = rest.0.iter().rev().zip(rest.1.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old, new) = (&rest.0[..rest.0.len() - tail], &rest.1[..rest.1.len() - tail]);
    let mut out: Vec<Line<'a>> = from[..head].iter().map(|line| Line::Both(line)).collect();
    middle(old, new, &mut out);
    out.extend(from[from.len() - tail..].iter().map(|line| Line::Both(line)));
    out
}

/// The longest common subsequence, by the table of its lengths.
fn middle<'a>(old: &[&'a str], new: &[&'a str], out: &mut Vec<Line<'a>>) {
    let width = new.len() + 1;
    if old.len().saturating_mul(new.len()) > MOST_PAIRS {
        out.extend(old.iter().map(|line| Line::Removed(line)));
        out.extend(new.iter().map(|line| Line::Added(line)));
        return;
    }
    let mut longest = vec![0_u32; (old.len() + 1) * width];
    for (i, a) in old.iter().enumerate().rev() {
        for (j, b) in new.iter().enumerate().rev() {
            longest[i * width + j] = if a == b {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            out.push(Line::Both(old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len()
            || (i < old.len() && longest[(i + 1) * width + j] >= longest[i * width + j + 1])
        {
            out.push(Line::Removed(old[i]));
            i += 1;
        } else {
            out.push(Line::Added(new[j]));
            j += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_common_stays() {
        use Line::{Added, Both, Removed};
        assert_eq!(
            lines("table {\na\nb\nc\n}", "table {\na\nx\nc\nd\n}"),
            [Both("table {"), Both("a"), Removed("b"), Added("x"), Both("c"), Added("d"), Both("}")]
        );
        assert_eq!(lines("a\na", "a"), [Both("a"), Removed("a")]);
        assert_eq!(lines("", "a"), [Added("a")]);
        assert_eq!(lines("a", ""), [Removed("a")]);
        assert_eq!(lines("", ""), []);
    }

    #[test]
    fn both_texts_can_be_read_from_it() {
        let texts = ["a\nb\nc", "b\na\nc\nb", "", "c\nc\nb", "x\ny"];
        for from in texts {
            for to in texts {
                let lines = lines(from, to);
                let pick = |take: fn(&Line<'_>) -> Option<String>| {
                    lines.iter().filter_map(take).collect::<Vec<_>>().join("\n")
                };
                assert_eq!(
                    pick(|l| match l {
                        Line::Both(t) | Line::Removed(t) => Some((*t).into()),
                        Line::Added(_) => None,
                    }),
                    from
                );
                assert_eq!(
                    pick(|l| match l {
                        Line::Both(t) | Line::Added(t) => Some((*t).into()),
                        Line::Removed(_) => None,
                    }),
                    to
                );
            }
        }
    }
}

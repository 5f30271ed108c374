use std::fmt;

/// What the answer to a question about how many was made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// The rollups that were read, by name.
    pub rollups: Vec<&'static str>,
    /// Data files that are wholly inside the window and were counted from rollups.
    pub whole: usize,
    /// Data files that the window cuts, and whose whole buckets were counted from rollups.
    pub cut: usize,
    /// Data files that retention took away, and whose counts are left.
    pub history: usize,
    /// Rows of the rollups' files.
    pub counts: u64,
    /// Data files that were read as rows.
    pub rows: usize,
    /// Their rows.
    pub row_rows: u64,
    /// Data files whose rows were read where the window cuts a bucket.
    pub edges: usize,
    /// Rows in memory.
    pub hot: u64,
    /// Whether the answer is what the rows would give. It is not where the window cuts a bucket of rows that are
    /// gone.
    pub exact: bool,
}

/// In words, a line for each part.
impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.rollups.is_empty() {
            let (rollups, counts) = (self.rollups.join(", "), self.counts);
            write!(f, "rollup {rollups}: {} whole, {} cut", Files(self.whole), Files(self.cut))?;
            if self.history > 0 {
                write!(f, ", {} whose rows are gone", Files(self.history))?;
            }
            writeln!(f, "; {counts} rows of counts")?;
        }
        if self.rows > 0 {
            writeln!(f, "rows of {}: {}", Files(self.rows), self.row_rows)?;
        }
        if self.edges > 0 {
            writeln!(f, "rows at the edges of the window: in {}", Files(self.edges))?;
        }
        if self.hot > 0 {
            writeln!(f, "rows in memory: {}", self.hot)?;
        }
        if !self.exact {
            writeln!(f, "not exact: the window cuts counts of rows that are gone")?;
        }
        Ok(())
    }
}

struct Files(usize);

impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} file{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}

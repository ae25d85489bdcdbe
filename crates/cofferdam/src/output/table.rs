//! Columns of text, as wide as what stands in them.

use super::printable;

pub struct Table {
    rows: Vec<Vec<String>>,
    columns: usize,
}

impl Table {
    pub fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(ToString::to_string).collect()], columns: head.len() }
    }

    /// A table without a head.
    pub const fn plain(columns: usize) -> Self {
        Self { rows: Vec::new(), columns }
    }

    pub fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.rows.push(cells.iter().map(|cell| printable(&cell.replace('\n', " "))).collect());
    }

    pub fn render(&self, indent: usize) -> String {
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths = (0..self.columns).map(width).collect::<Vec<_>>();
        let mut text = String::new();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            text += &format!("{:indent$}{}\n", "", line.trim_end());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["a", "b"]);
        table.row(["long", "x"]);
        table.row(["s", "yy"]);
        assert_eq!(table.render(1), " a     b\n long  x\n s     yy\n");
    }

    #[test]
    fn a_cell_cannot_move_the_cursor() {
        let mut table = Table::plain(1);
        table.row(["\u{1b}[2Jgone\nnext"]);
        assert_eq!(table.render(0), "\u{fffd}[2Jgone next\n");
    }
}

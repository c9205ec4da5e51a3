//! Tables that fit a terminal: columns shrink, widest first, and long cells are cut with `…`.
//! Never wraps a row.

use super::look::{Look, Paint};
use super::text;

/// Columns between two cells.
const GAP: usize = 2;

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    min: usize,
    right: bool,
}

impl Column {
    /// A column that is never cut below `min` columns.
    pub(crate) const fn new(title: &'static str, min: usize) -> Self {
        Self { title, min, right: false }
    }

    /// A column of numbers, aligned to the right.
    pub(crate) const fn number(title: &'static str, min: usize) -> Self {
        Self { title, min, right: true }
    }
}

/// A cell: one line, and what it means.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    text: String,
    paint: Paint,
}

impl Cell {
    /// A cell in the colour of its status.
    pub(crate) fn status(text: &str) -> Self {
        Self { text: text::one_line(text), paint: Paint::of_status(text) }
    }

    /// A cell that matters less.
    pub(crate) fn faint(text: &str) -> Self {
        Self { text: text::one_line(text), paint: Paint::Faint }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text::one_line(text.as_ref()), paint: Paint::Plain }
    }
}

/// Rows under columns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row, one cell a column.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        self.rows.push(cells);
    }

    /// The table as lines, each ending in a line break. Empty without rows.
    pub(crate) fn render(&self, look: &Look) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let widths = self.widths(look.width);
        let titles: Vec<Cell> = self
            .columns
            .iter()
            .map(|column| Cell { text: column.title.to_owned(), paint: Paint::Title })
            .collect();
        std::iter::once(&titles)
            .chain(&self.rows)
            .map(|row| self.line(row, &widths, look) + "\n")
            .collect()
    }

    fn widths(&self, width: usize) -> Vec<usize> {
        let mut widths: Vec<usize> =
            self.columns.iter().map(|column| text::width(column.title)).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(text::width(&cell.text));
            }
        }
        let gaps = GAP * self.columns.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > width {
            let widest = widths
                .iter_mut()
                .zip(&self.columns)
                .filter(|(width, column)| **width > column.min)
                .max_by_key(|(width, _)| **width);
            match widest {
                Some((width, _)) => *width -= 1,
                None => break,
            }
        }
        widths
    }

    fn line(&self, row: &[Cell], widths: &[usize], look: &Look) -> String {
        let mut line = String::new();
        for (index, ((cell, width), column)) in
            row.iter().zip(widths).zip(&self.columns).enumerate()
        {
            if index > 0 {
                line.push_str(&" ".repeat(GAP));
            }
            let shown = text::cut(&cell.text, *width);
            let padded = text::pad(&shown, *width, column.right);
            line.push_str(&padded.replacen(&shown, &look.paint(cell.paint, &shown), 1));
        }
        line.trim_end().to_owned()
    }
}

/// Names and values in two columns; a long value goes on below itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Details {
    rows: Vec<(&'static str, String, Paint)>,
}

impl Details {
    /// Adds a value.
    pub(crate) fn add(&mut self, name: &'static str, value: impl Into<String>) -> &mut Self {
        self.rows.push((name, value.into(), Paint::Plain));
        self
    }

    /// Adds a value where there is one.
    pub(crate) fn maybe(&mut self, name: &'static str, value: Option<String>) -> &mut Self {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.add(name, value);
        }
        self
    }

    /// Adds a status, in its colour.
    pub(crate) fn status(&mut self, name: &'static str, value: &str) -> &mut Self {
        self.rows.push((name, value.to_owned(), Paint::of_status(value)));
        self
    }

    /// The values as lines, each ending in a line break.
    pub(crate) fn render(&self, look: &Look) -> String {
        let names = self.rows.iter().map(|(name, ..)| text::width(name)).max().unwrap_or(0);
        let mut lines = String::new();
        for (name, value, paint) in &self.rows {
            let room = look.width.saturating_sub(names + GAP).max(10);
            let wrapped = text::wrap(value, room);
            for (index, part) in wrapped.iter().enumerate() {
                let label = if index == 0 { *name } else { "" };
                let label = look.paint(Paint::Faint, &text::pad(label, names, false));
                let line = format!("{label}  {}", look.paint(*paint, part));
                lines.push_str(line.trim_end());
                lines.push('\n');
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::super::look::tests::plain;
    use super::*;

    fn sample(name: &str, note: &str) -> Table {
        let columns = [Column::new("NAME", 6), Column::number("N", 1), Column::new("NOTE", 8)];
        let mut table = Table::new(&columns);
        table.row(vec![name.into(), "7".into(), note.into()]);
        table.row(vec!["b".into(), "12".into(), Cell::status("failed")]);
        table
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let text = sample("alpha", "short").render(&plain());
        assert_eq!(text, "NAME    N  NOTE\nalpha   7  short\nb      12  failed\n");
    }

    #[test]
    fn a_table_fits_the_width_and_keeps_its_minimum() {
        let long = "x".repeat(70);
        let text = sample(&long, &long).render(&plain());
        for line in text.lines() {
            assert!(text::width(line) <= 80, "{line}");
        }
        assert!(text.contains('…'));
        let narrow = Look { width: 10, ..plain() };
        let text = sample("alphabet", "something long").render(&narrow);
        assert!(text.contains("alpha…"), "{text}");
    }

    #[test]
    fn colour_does_not_move_columns() {
        let colored = Look { color: true, ..plain() };
        let text = sample("alpha", "short").render(&colored);
        assert!(text.contains("b      12  \u{1b}[31mfailed\u{1b}[0m"), "{text:?}");
    }

    #[test]
    fn a_cell_is_one_line() {
        let text = sample("two\nlines", "tab\there").render(&plain());
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("two lines"));
    }

    #[test]
    fn an_empty_table_is_nothing() {
        assert_eq!(Table::new(&[Column::new("A", 1)]).render(&plain()), "");
    }

    #[test]
    fn a_long_value_goes_on_below_itself() {
        let mut details = Details::default();
        details.add("id", "1").add("message", "word ".repeat(30)).maybe("none", None);
        let text = details.render(&plain());
        assert!(text.starts_with("id       1\nmessage  word"), "{text}");
        assert!(text.lines().nth(2).unwrap().starts_with("         word"), "{text}");
        assert!(text.lines().all(|line| text::width(line) <= 80));
    }
}
